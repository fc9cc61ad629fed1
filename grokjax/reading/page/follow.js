"use strict";

function follow(stamp) { // a server shows results while training goes on
  const status = document.querySelector(".status");
  let touched = performance.now();
  for (const kind of ["pointerdown", "keydown", "wheel"]) {
    addEventListener(kind, () => { touched = performance.now(); }, { passive: true });
  }
  setInterval(async () => {
    try {
      const now = await (await fetch("/stamp", { cache: "no-store" })).text();
      const isQuiet = performance.now() - touched > 3000; // nobody is moving a slider
      if (now !== stamp && isQuiet && !document.hidden) location.reload();
      else if (document.data) status.textContent = "Follows the training: what is new is shown after each checkpoint.";
    } catch {
      status.textContent = "The server has stopped; this is what it showed last.";
    }
  }, 2000);
}

if (document.documentElement.dataset.stamp) follow(document.documentElement.dataset.stamp);
