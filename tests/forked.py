"""Work in a child process, which has a copy of moto's account: many changes of one state, none of which lasts."""

import os
import pickle
import traceback


def forked(work):
    """What `work()` gives. An exception in it is raised here as AssertionError, with its traceback as text."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = (work(), "")
        except BaseException:
            answer = (None, traceback.format_exc())
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump(answer, pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        content = pipe.read()
    os.waitpid(child, 0)
    assert content, "the child ended without a word"
    given, error = pickle.loads(content)
    assert not error, error
    return given
