import pytest

from appliance.audit.heartbeat import engine, front, samples, total

VLLM = """\
# HELP vllm:request_success_total Count of successfully processed requests.
# TYPE vllm:request_success_total counter
vllm:request_success_total{engine="0",finished_reason="stop",model_name="m"} 12.0
vllm:request_success_total{engine="0",finished_reason="length",model_name="m"} 3.0
vllm:request_success_total{engine="0",finished_reason="abort",model_name="m"} 1.0
process_start_time_seconds 1.79543160052e+09
"""
FRONT = """\
haproxy_process_start_time_seconds 1795431600
haproxy_backend_http_requests_total{proxy="gateway"} 41
haproxy_backend_http_requests_total{proxy="console"} 900
"""


def test_an_engine_counts_whatever_ended_a_request() -> None:
    assert engine(0, "m", VLLM) == {
        "engine_0": "m", "requests_0": 16, "since_0": 1_795_431_600,
    }  # fmt: skip
    ours = "casemate_engine_requests_total 7\nprocess_start_time_seconds 5\n"
    assert engine(1, "extraits", ours) == {
        "engine_1": "extraits", "requests_1": 7, "since_1": 5,
    }  # fmt: skip


@pytest.mark.parametrize(
    "page",
    ["", "vllm:request_success_total 3\n", "process_start_time_seconds 5\n", "<html>"],
    ids=["none", "no start", "no count", "another page"],
)
def test_counts_that_are_not_all_there_are_left_out(page: str) -> None:
    assert engine(0, "m", page) == {"engine_0": "m"}


def test_the_front_counts_what_it_handed_to_the_gateways() -> None:
    assert front(FRONT) == {"front_requests": 41, "front_since": 1_795_431_600}
    assert front("") == {}


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1", "1e300", "1.2.3", "e"])
def test_a_value_that_is_no_count_is_none(value: str) -> None:
    assert total(f"name {value}\n", "name") is None


def test_a_page_is_read_line_by_line() -> None:
    page = 'a 1\n# a 2\nb{x="} 3"} 3 1795431600000\r\nbad line here\n{} 4\n'
    assert list(samples(page)) == [("a", "", 1.0), ("b", 'x="} 3"', 3.0)]
