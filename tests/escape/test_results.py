# SPDX-License-Identifier: MIT
"""A result is kept exactly, or refused with the reason and the place; what is left out is named."""
import base64

import pytest

EXACT = {
    "integer_beyond_2_53": "{'id': 9007199254740993}",
    "negative": "[-9007199254740993, -(2 ** 64)]",
    "long_integer": "10 ** 80 + 1",
    "integer_in_a_list": "{'a': [{'b': 7615917337495251231}]}",
    "terminal_colours": "'a\\x1b[31mb'",
    "every_control_character": "''.join(map(chr, range(1, 160)))",
    "control_character_in_a_name": "{'a\\x07': '\\x7f\\b\\f'}",
    "large_float": "[1e16, 9.1e15, 1e308, -0.0, 5e-324]",
    "text": "'é漢😀\\u2028'",
    "fifteen_deep": "[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]",
    "tuple_and_int_names": "{1: (1, 2), None: True, 2.5: False}",
    "nothing": "None",
}


@pytest.mark.parametrize("name", EXACT)
def test_a_value_is_kept_exactly(submit, name):
    answer = submit(
        "code.python", f"result = {EXACT[name]}\nprint('kept')\nopen('f', 'w').write('made')"
    )
    output = answer["output"]
    expected = eval(EXACT[name])
    if name == "tuple_and_int_names":
        expected = {"1": [1, 2], "null": True, "2.5": False}
    assert (answer["outcome"], output["stdout"], output["stderr"], output["truncated"]) == (
        "ok",
        "kept\n",
        "",
        False,
    )
    assert output["result"] == {"value": expected, "files": {"f": "made"}}
    assert type(output["result"]["value"]) is type(expected)


REFUSED = {
    "float('nan')": "result: nan is no JSON value",
    "[1, float('-inf')]": "result[1]: -inf is no JSON value",
    "{1, 2}": "result: set is no JSON value",
    "{'d': __import__('datetime').datetime.now()}": "result.d: datetime is no JSON value",
    "{'a': [0, __import__('decimal').Decimal(1)]}": "result.a[1]: Decimal is no JSON value",
    "(i for i in ())": "result: generator is no JSON value",
    "b'x'": "result: bytes is no JSON value",
    "{'a b': object()}": "result['a b']: object is no JSON value",
    "{'x': 'a\\0b'}": "result.x: U+0000 in a string is not taken",
    "{'a\\0': 1}": "result: U+0000 in a string is not taken",
    "['\\ud800']": "result[0]: a lone surrogate, U+D800, in a string is not taken",
    "{1: 'a', '1': 'b'}": "result: the member '1' twice",
    "{(1, 2): 3}": "result: a key of type tuple is no JSON name",
    "{'n': 10 ** 5000}": "result.n: an integer of more than 4300 digits is not taken",
    "[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]": "result" + "[0]" * 15 + ": nested more than 15 deep",
}


@pytest.mark.parametrize("value", REFUSED)
def test_a_value_is_refused_with_its_type_and_place(submit, value):
    output = submit(
        "code.python", f"result = {value}\nprint('kept')\nopen('f', 'w').write('made')"
    )["output"]
    assert output["stderr"] == REFUSED[value] + "\n"
    assert output["result"] == {"value": None, "files": {"f": "made"}}
    assert output["stdout"] == "kept\n"
    assert output["truncated"] is False  # nothing was cut


def test_a_value_that_contains_itself(submit):
    output = submit("code.python", "result = {}\nresult['a'] = result")["output"]
    assert output["stderr"] == "result" + ".a" * 15 + ": nested more than 15 deep\n"
    assert output["result"]["value"] is None


@pytest.mark.parametrize(
    "text, reason",
    [
        (r'{"a": 1, "a": 2}', "malformed JSON: a member name is repeated: a"),
        (r'{"a": "\u0000"}', "U+0000 in a string at byte 8: leave it out"),
        (r'["\ud800"]', "malformed JSON: lone surrogate at byte 8"),
        (
            "[1,]",
            "malformed JSON: a value was expected "
            "(true, false and null in small letters) at byte 3",
        ),
        ("{", "malformed JSON: unexpected end at byte 1"),
    ],
)
def test_what_is_written_to_descriptor_3_by_hand(submit, text, reason):
    output = submit("code.python", f"import os; os.write(3, {text.encode()!r}); os._exit(0)")[
        "output"
    ]
    assert output["result"] is None
    assert output["truncated"] is False
    assert output["stderr"] == f"result: refused: {reason}\n"


def test_a_number_by_hand_is_passed_on_as_it_stands(submit):
    output = submit(
        "code.python",
        "import os; os.write(3, b'[123456789012345678901234567890, 1.50]'); os._exit(0)",
    )["output"]
    assert output["result"] == [123456789012345678901234567890, 1.5]
    assert output["stderr"] == ""


@pytest.mark.parametrize(
    "query, document",
    [
        (".x|tonumber", {"x": "7615917337495251231"}),
        ("[.x, .x]|map(tonumber)", {"x": "123456789012345678"}),
        ("infinite, -infinite, nan", None),
        ('"\\u001b[31m"', None),
        (".x|tonumber * 10", {"x": "9007199254740993"}),
    ],
)
def test_a_query_s_result_is_what_its_output_says(submit, query, document):
    answer = submit("json.query", query=query, input=document, timeout=100)
    assert answer["outcome"] == "ok", answer.text
    assert f'"result":{answer["output"]["stdout"]},' in answer.text, answer.text


def test_a_query_s_result_that_cannot_be_passed_on(submit):
    output = submit("json.query", query='1, "a\\u0000"', timeout=100)["output"]
    assert output["result"] is None
    assert output["stderr"] == "result: refused: U+0000 in a string at byte 6: leave it out\n"
    output = submit("json.query", query='"x" * 300000', timeout=100)["output"]
    assert output["result"] is None
    assert output["truncated"]
    assert output["stderr"] == "result: left out; the bound is 262144 bytes of JSON\n"


# --- files ----------------------------------------------------------------------------------------


def test_a_large_file_is_named_with_its_size_and_the_bound(submit):
    output = submit(
        "code.python", "open('big.bin', 'wb').write(b'x' * 200000); open('a', 'w').write('small')"
    )["output"]
    bound = "131072 bytes of files"
    assert output["result"] == {
        "value": None,
        "files": {"a": "small"},
        "left_out": {"files": {"big.bin": {"bytes": 200000, "bound": bound}}},
    }
    assert output["stderr"] == f"files: big.bin: 200000 bytes, left out; the bound is {bound}\n"
    assert output["truncated"]


@pytest.mark.parametrize("action, code", [
    ("code.python", "for i in range(70): open('f%02d' % i, 'w').write('x')"),
    ("code.shell", "for i in {10..79}; do printf x >f$i; done"),
])
def test_many_files(submit, action, code):
    output = submit(action, code)["output"]
    left_out = output["result"]["left_out"]["files"]
    assert len(output["result"]["files"]) == 64
    assert len(left_out) == 6
    assert output["truncated"]
    assert set(map(str, left_out.values())) == {"{'bytes': 1, 'bound': '64 files'}"}
    assert len(output["stderr"].splitlines()) == 6


def test_only_the_first_of_many_are_named(submit):
    output = submit("code.shell", "for i in {100..299}; do printf x >f$i; done")["output"]
    assert len(output["result"]["left_out"]["files"]) == 20
    assert output["result"]["left_out"]["more_files"] == 116
    assert output["stderr"].splitlines()[-1] == "files: 116 more left out"


def test_other_reasons_for_a_file_to_be_left_out(submit):
    output = submit("code.python", """
import os
os.makedirs("a/b/c/d/e/f/g/h")
open(b"/work/\\xff", "w").close()
open("closed", "w").close(); os.chmod("closed", 0)
open("zeros", "wb").write(bytes(120000))
open("coloured", "w").write("\\x1b[31m")
""")["output"]
    why = {name: entry["bound"] for name, entry in output["result"]["left_out"]["files"].items()}
    assert why == {
        "'\\udcff'": "a name in UTF-8",
        "closed": "it cannot be read: Permission denied",
        "zeros": "131072 bytes of files, as base64",
        "a/b/c/d/e/f/g/h/": "8 folders deep",
    }
    assert output["result"]["files"] == {
        "coloured": {"base64": base64.b64encode(b"\x1b[31m").decode()}
    }


def test_value_and_files_share_the_room_of_a_result(submit):
    output = submit(
        "code.python",
        "result = 'v' * 250000; open('a', 'w').write('x' * 100000); open('b', 'w').write('y')",
    )["output"]
    assert output["result"]["value"] == "v" * 250000
    assert output["result"]["files"] == {"b": "y"}
    assert output["truncated"]
    assert output["result"]["left_out"]["files"] == {
        "a": {"bytes": 100000, "bound": "262144 bytes of result, as JSON"}
    }
    output = submit("code.python", "open('newlines', 'w').write('\\n' * 131072)")["output"]
    assert output["result"]["files"] == {}
    assert output["result"]["left_out"]["files"]["newlines"]["bytes"] == 131072


def test_a_value_that_is_too_large_is_named(submit):
    output = submit("code.python", "result = 'x' * 400000; open('f', 'w').write('made')")["output"]
    assert output["result"] == {
        "value": None,
        "files": {"f": "made"},
        "left_out": {"value": {"bytes": 400002, "bound": "261120 bytes of JSON"}},
    }
    assert output["stderr"] == "result: 400002 bytes of JSON, left out; the bound is 261120\n"
    assert output["truncated"]
