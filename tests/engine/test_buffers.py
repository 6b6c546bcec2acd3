import threading

from cytobatch.engine.buffers import Use, own_room


def test_a_thread_gets_the_same_memory_again_and_more_where_it_needs_more() -> None:
    first = own_room(Use.TEXT, 1000)
    first[0] = 7
    assert own_room(Use.TEXT, 10) is first
    assert first[0] == 7
    # How much this thread has already is other tests' matter.
    needed = len(first) + 1
    larger = own_room(Use.TEXT, needed)
    assert len(larger) >= needed
    # A file that is but a little larger needs no new memory.
    assert own_room(Use.TEXT, needed + needed // 20) is larger


def test_threads_have_memory_of_their_own() -> None:
    own = own_room(Use.TEXT, 10)
    own[0] = 1
    found = []

    def other() -> None:
        room = own_room(Use.TEXT, 10)
        room[0] = 2
        found.append(room[0])

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert (own[0], found) == (1, [2])
