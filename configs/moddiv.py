from grokjax import base, grid


def get_config(choice=""):
    config = base(choice)
    config.schedule.stop_after_grok = 5
    return config
