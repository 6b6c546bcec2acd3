import threading

from cytobatch.engine.buffers import BufferKind, thread_buffer


def test_a_thread_gets_the_same_memory_again_and_more_where_it_needs_more() -> None:
    first = thread_buffer(BufferKind.TEXT, 1000)
    first[0] = 7
    assert thread_buffer(BufferKind.TEXT, 10) is first
    assert first[0] == 7
    # Other tests may have given this thread a larger buffer.
    needed = len(first) + 1
    larger = thread_buffer(BufferKind.TEXT, needed)
    assert len(larger) >= needed
    # A file that is only a little larger needs no new memory.
    assert thread_buffer(BufferKind.TEXT, needed + needed // 20) is larger


def test_threads_have_memory_of_their_own() -> None:
    own = thread_buffer(BufferKind.TEXT, 10)
    own[0] = 1
    found = []

    def other() -> None:
        room = thread_buffer(BufferKind.TEXT, 10)
        room[0] = 2
        found.append(room[0])

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert (own[0], found) == (1, [2])
