"""Job specs that a stranger wrote: each is one short message, and a file that is no spec is not quoted."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from cytobatch.config.expand import plate_jobs
from cytobatch.config.job_spec import parse_spec
from cytobatch.config.options import PlateJob, PlateOptions
from cytobatch.errors import ExitCode, JobSpecError

ALIASES = list(pairwise("abcdefgh"))


def jobs(text: str) -> list[PlateJob]:
    return plate_jobs(parse_spec(text, "spec.yaml"), PlateOptions(), None, "spec.yaml", lambda _, __: [])


PLATE = "plates: [{source: /a, destination: /b, %s}]"
HOSTILE = {
    "deep JSON": ("[" * 100_000, "nested too deep"),
    "deep JSON in a mapping": ('{"plates": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deep"),
    "deep YAML": ("plates: " + "[" * 1200, "nested too deep"),
    "deep JSON in an option": (PLATE % f"compartments: '{'[' * 100_000}'", "nested too deep"),
    "a deep pattern": (PLATE % f"image_columns: '{'(' * 3000}'", "image_columns"),
    "a huge integer in JSON": ('{"version": ' + "9" * 5000 + "}", "too large"),
    "a huge integer in YAML": (PLATE % f"chunk_size: {'9' * 5000}", "too large"),
    "more rows than there are": (PLATE % f"chunk_size: {'9' * 100}", "chunk_size"),
    "more bytes than there are": (PLATE % f"memory: {'9' * 100}GiB", "memory"),
    "a day that does not exist": (PLATE % "plate: 2021-02-30", "no valid date"),
    "a day": (PLATE % "plate: 2021-02-28", "it is no text"),
    "a tag that runs code": (PLATE % "plate: !!python/object/apply:os.system [id]", "tag:yaml.org,2002:python/object"),
    "a tag of another type": (PLATE % "plate: !!bool x", "no valid date or number"),
    "a tag of a time": (PLATE % "plate: !!timestamp x", "no valid date or number"),
    "a tag of a number": (PLATE % "plate: !!float x", "no valid date or number"),
    "a tag of a mapping": ("plates: !!map x", "no valid date or number"),
    "aliases that multiply": (
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{after}: &{after} [{','.join([f'*{name}'] * 9)}]\n" for name, after in ALIASES),
        "too many values",
    ),
    "an alias of itself": ("plates: &a [*a]", "too many values"),
    "a key that is a list": ("? [a]\n: b\nplates: []", "unhashable key"),
    "a null character": ("plates: \0", "does not allow"),
    "a null character in a path": (PLATE.replace("/a", r'"/a\0"') % "plate: x", "null characters"),
    "half of a character": ('{"plates": [{"source": "/a\\ud800", "destination": "/b"}]}', "unicode"),
    "a merge of a number": ("plates: [{<<: 5, destination: /b}]", "for merging"),
    "200,000 plates in JSON": (
        json.dumps({"plates": [{"source": f"/a{n}", "destination": f"/b{n}"} for n in range(200_000)]}),
        "200000, more than 100000",
    ),
    "200,000 plates in YAML": ("plates:\n" + "- {source: /a, destination: /b}\n" * 200_000, "4000000 characters"),
    "a key of 5 MB": (json.dumps({"plates": [{"x" * 5_000_000: 1}]}), "no such option"),
    "a preset of 5 MB": (json.dumps({"plates": [{"preset": "x" * 5_000_000}]}), "is none of its values"),
    "a path of 5 MB": (json.dumps({"plates": [{"source": "{x}" * 2_000_000, "destination": "/b"}]}), "names {x}"),
}


@pytest.mark.parametrize(("text", "why"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_spec_is_one_short_message(text: str, why: str) -> None:
    with pytest.raises(JobSpecError) as caught:
        jobs(text)
    assert caught.value.exit_code == ExitCode.CONFIGURATION
    assert why in str(caught.value)
    assert len(str(caught.value)) < 5000


NO_SPECS = [
    "root:x:0:0:root:/root:/bin/bash\nhunter2:x:1:1::/:/bin/sh\n",
    "[default]\naws_secret_access_key = hunter2\n",
    "password: hunter2\n",
    "hunter2: password\n",
    "a: *hunter2",
    "a: !hunter2 b",
    'a: "\\hunter2"',
    "a: hunter2: hunter2",
    "hunter2: 1\nhunter2: 2",
    "%hunter2 x",
    "- hunter2",
    '{"hunter2": "hunter2"}',
    '{"hunter2": hunter2}',
]


@pytest.mark.parametrize("text", NO_SPECS)
def test_a_file_that_is_no_spec_is_not_quoted(text: str) -> None:
    with pytest.raises(JobSpecError) as caught:
        jobs(text)
    assert "hunter2" not in str(caught.value)


def test_merge_keys_of_yaml_work() -> None:
    text = "defaults: &all {max_failed_exports: 3, source: /a}\nplates: [{<<: *all, source: /b, destination: /c}]"
    (job,) = jobs(text)
    assert (job.source, job.max_failed_exports) == ("/b", 3)


@pytest.mark.parametrize(
    "other", ["{folder}/out/", "{folder}/./out", "{folder}/x/../out", "{folder}//out", "{folder}/link"]
)
def test_two_spellings_of_one_destination_are_refused(other: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "out")
    plates = [("/a", f"{tmp_path}/out"), ("/b", other.format(folder=tmp_path))]
    text = json.dumps({"plates": [{"source": source, "destination": path} for source, path in plates]})
    with pytest.raises(JobSpecError, match="plates 0 and 1 share a destination"):
        jobs(text)


def test_two_spellings_of_one_folder_of_a_bucket_are_refused() -> None:
    with pytest.raises(JobSpecError, match="share a destination"):
        jobs("plates: [{source: /a, destination: s3://b/out}, {source: /b, destination: s3://b//out/}]")
