"""The memory of what is being handled: a key is taken once, and memory is bounded."""

from concurrent.futures import ThreadPoolExecutor

from triage._claims import Claims


def test_a_key_is_taken_once_until_it_is_released() -> None:
    claims = Claims()
    assert claims.claim("a")
    assert not claims.claim("a")
    claims.release("a")
    claims.release("a")
    assert claims.claim("a")


def test_the_oldest_key_is_forgotten_when_it_is_full() -> None:
    claims = Claims(capacity=2)
    assert [claims.claim(key) for key in ("a", "b", "c")] == [True, True, True]
    assert not claims.claim("c")
    assert not claims.claim("b")
    assert claims.claim("a")


def test_of_many_threads_one_gets_the_key() -> None:
    claims = Claims()
    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(lambda _: claims.claim("a"), range(200))) == 1
