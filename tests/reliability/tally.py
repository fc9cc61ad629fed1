"""How often what happened."""

from collections import Counter


class Tally:
    """Counts the outcomes of a part; those that should not be are kept with what was done."""

    def __init__(self, part: str):
        self.part = part
        self.bad: list[str] = []
        self._counts = Counter()

    def good(self, what: str) -> None:
        self._counts[what] += 1

    def wrong(self, what: str, case: str, detail: object = "") -> None:
        """Something was lost, different, or said badly."""
        self._counts[what.upper()] += 1
        self.bad.append(f"{what.upper()}: {case}: {str(detail)[:400]}")
        print(f"  {self.bad[-1]}", flush=True)

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {what}" for what, count in sorted(self._counts.items()))
        return f"{self.part}: {counts or 'nothing was tried'}"
