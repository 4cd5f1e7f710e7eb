"""`warren verify`: does a report bundle hold? Needs no mesh and no network."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from services.cli.console import one_line, print_json
from services.cli.options import AsJson
from services.cli.outcome import Exit, UsageError


def verify(
    bundle: Path, /, *, sentences: Annotated[bool, Parameter(negative=())] = False, as_json: AsJson = False
) -> int:
    """Check a report bundle: every quote at its offsets, every source by its hash, every citing sentence.

    Parameters
    ----------
    bundle: The bundle's folder (or its report.json).
    sentences: List every sentence that cites something, not only those that fail.
    """
    from services.cli.bundle import NotABundle, read
    from services.cli.check import check

    try:
        checked = check(read(bundle))
    except NotABundle as error:
        raise UsageError(str(error), hint="name a folder such as .warren/reports/<goal id>") from None
    if as_json:
        print_json({
            "bundle": str(bundle),
            "holds": checked.holds,
            "citations": checked.citations,
            "verified": checked.verified,
            "sentences": [
                {"sentence": s.sentence, "citations": list(s.citations), "reason": s.reason} for s in checked.sentences
            ],
            "problems": list(checked.problems),
        })  # fmt: skip
        return Exit.DONE if checked.holds else Exit.FAILED
    if sentences:
        for item in checked.sentences:
            print(
                f"{'holds' if item.reason is None else 'FAILS'}  {list(item.citations)}  {one_line(item.sentence, 200)}"
            )
    for problem in checked.problems:
        print(f"FAILS  {problem}")
    supported = sum(s.reason is None for s in checked.sentences)
    print(
        f"{checked.verified} of {checked.citations} citations verified, "
        f"{supported} of {len(checked.sentences)} citing sentences supported: "
        f"{'the bundle holds' if checked.holds else 'the bundle does NOT hold'}"
    )
    return Exit.DONE if checked.holds else Exit.FAILED
