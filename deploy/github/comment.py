"""Keep one comment of a pull request up to date: a step of action.yml, with no requirements.

The Markdown's first line marks the comment (``swarmscope check --markdown``). What goes wrong is a
line in the job's log: a comment that cannot be posted, as for a fork's pull request, fails no job.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PER_PAGE = 100  # GitHub's most
TIMEOUT_S = 30
NO_PERMISSION = (401, 403, 404)
TRUSTED = ("OWNER", "MEMBER", "COLLABORATOR")  # others may have copied the mark


def main() -> str:
    """Post the file that the argument names; return the line for the job's log."""
    event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text("utf-8"))
    number = event.get("pull_request", {}).get("number")
    if not number:
        return "::notice::This job is of no pull request, so there is none to comment on"
    try:
        return f"Comment: {post(int(number), Path(sys.argv[1]).read_text('utf-8'))}"
    except urllib.error.HTTPError as error:
        if error.code in NO_PERMISSION:
            return (
                "::notice::No comment: the token may not write comments. Jobs of forks never may;"
                " others need the permission pull-requests: write"
            )
        return f"::warning::No comment: GitHub answered {error.code}"
    except OSError as error:
        return f"::warning::No comment: {command_text(error)}"


def post(number: int, text: str) -> str:
    """Update the comment of pull request *number* that begins like *text*, or create it.

    Return its address. Raises OSError.
    """
    comments = f"issues/{number}/comments"
    mark = text.partition("\n")[0]
    for comment in existing(comments):
        if is_ours(comment, mark):
            return str(call("PATCH", f"issues/comments/{comment['id']}", text)["html_url"])
    return str(call("POST", comments, text)["html_url"])


def existing(comments: str) -> Iterator[dict[str, Any]]:
    """Yield all comments, page by page."""
    page = 1
    while found := call("GET", f"{comments}?per_page={PER_PAGE}&page={page}"):
        yield from found
        if len(found) < PER_PAGE:
            return
        page += 1


def is_ours(comment: dict[str, Any], mark: str) -> bool:
    """Return whether *comment* has the *mark* and is of a bot or of somebody who may write here."""
    is_bot = (comment.get("user") or {}).get("type") == "Bot"
    is_trusted = is_bot or comment.get("author_association") in TRUSTED
    return is_trusted and (comment.get("body") or "").partition("\n")[0].strip() == mark


def call(method: str, path: str, body: str | None = None) -> Any:
    """Call GitHub's API below the repository; return the JSON of its answer."""
    api, repository = os.environ["GITHUB_API_URL"], os.environ["GITHUB_REPOSITORY"]
    request = urllib.request.Request(
        f"{api}/repos/{repository}/{path}",
        method=method,
        data=None if body is None else json.dumps({"body": body}).encode(),
        headers={
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}",
            "Content-Type": "application/json",
            "X-GitHub-Api-Version": "2022-11-28",
        },
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        return json.load(answer)


def command_text(error: Exception) -> str:
    """Return an error's text as a workflow command takes it."""
    return str(error).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


if __name__ == "__main__":
    print(main())
