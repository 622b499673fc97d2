def check_may_load(env):
    return None
