"""The pages as the server sends them: complete, escaped, small, and without anything that the policy forbids."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

import tune_mlp.service
from tests.report.pages import EVIL, a_reported_run
from tests.service import services
from tests.service.servers import FREELY, asking
from tune_mlp.service.access import Access, add_user, load_access
from tune_mlp.service.app import make_app
from tune_mlp.service.pages.assets import address_of, assets

STATIC = Path(tune_mlp.service.__file__).parent / "static"
HTML = {"Accept": "text/html"}
PAGES = {
    "/": ["Studies", "made", "evil"],
    "/?search=evil": ["evil"],
    "/?state=finished&sort=name&descending=false": ["made"],
    "/studies/made": ["made", "Learning curves", "Download CSV", "trial 15"],
    "/studies/made?sort=lr&descending=true&filter=width==32&columns=trial,lr": ["made"],
    "/studies/made?chart=contenders": ["Another chart"],
    "/studies/made/trials/3": ["Trial 3", "What differs from the best", "Why"],
    "/studies/made/report": ["Open the report alone"],
    "/studies/made/try": ["The model is being loaded"],
    "/studies/made/file": ["asha"],
    "/compare": ["Compare studies", "Name two to ten studies"],
    "/compare?study=made&study=evil": ["Settings that differ", "Their best trials"],
    "/compare?study=made&study=evil&over=time": ["over time"],
    "/new": ["New study", "digits_quick", "The learning rate"],
    "/new?space=mnist_asha": ["mnist_asha"],
    "/new?from=made": ["made"],
    "/trash": ["The trash is empty"],
    "/login": ["Sign in"],
}


class Elements(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pages") / "runs"
    a_reported_run(root / "made", trials=60)
    a_reported_run(root / "evil", trials=30, evil=True)
    return root


@pytest.fixture(scope="module")
def client(root: Path) -> Iterator[httpx.Client]:
    with services.service(root) as service, asking(make_app(service, Access(), FREELY)) as client:
        yield client


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_its_landmarks_and_says_what_it_is_about(client: httpx.Client, path: str) -> None:
    answer = client.get(path, headers=HTML)
    assert answer.status_code == 200, answer.text[-600:]
    elements = Elements(answer.text)
    for landmark in ("main", "header", "footer", "h1", "title"):
        assert len(elements.named(landmark)) == 1, landmark
    assert elements.named("html")[0]["lang"] == "en"
    assert elements.named("nav")
    for text in PAGES[path]:
        assert text in elements.text


@pytest.mark.parametrize("path", [*PAGES, "/nothing"])
def test_a_page_holds_nothing_that_its_policy_forbids(client: httpx.Client, path: str) -> None:
    answer = client.get(path, headers=HTML)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    elements = Elements(answer.text)
    for tag, attributes in elements.found:
        assert "style" not in attributes, tag
        assert tag != "style"
        assert not [name for name in attributes if name.startswith(("on", "hx-on"))], tag
        assert not [name for name, value in attributes.items() if (value or "").startswith(("js:", "javascript:"))], tag
        for name in ("src", "href", "action", "hx-get", "hx-post"):
            assert not (attributes.get(name) or "").startswith(("http", "//")), attributes
    assert all("src" in one for one in elements.named("script"))
    assert re.search(r"<script[^>]*></script>", answer.text)
    config = json.loads(
        next(one["content"] for one in elements.named("meta") if one.get("name") == "htmx-config") or ""
    )
    assert (config["allowEval"], config["includeIndicatorStyles"], config["allowScriptTags"]) == (False, False, False)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/studies/evil",
        "/studies/evil/trials/3",
        "/studies/evil/trials/29",
        "/compare?study=made&study=evil",
        "/studies/evil/file",
        "/new?from=evil",
    ],
)
def test_text_of_a_study_is_never_markup(client: httpx.Client, path: str) -> None:
    answer = client.get(path, headers=HTML)
    elements = Elements(answer.text)
    assert EVIL not in answer.text
    assert not elements.named("img")
    assert "onerror" in elements.text or path == "/new?from=evil"


def test_attacks_in_an_address_are_shown_as_text(client: httpx.Client) -> None:
    for path in ("/", "/studies/made", "/compare", "/login", "/new"):
        for name in ("search", "filter", "study", "next", "space", "owner", "sort", "chart", "columns"):
            answer = client.get(path, params={name: EVIL}, headers=HTML)
            assert answer.status_code in (200, 404, 422)
            assert EVIL not in answer.text
            assert not Elements(answer.text).named("img")
    answer = client.post("/new", data={"text": f"name: {EVIL}\n{EVIL}", "name": EVIL}, headers=HTML)
    assert answer.status_code == 422
    assert EVIL not in answer.text


def test_errors_are_pages_for_a_browser_and_json_for_a_program(client: httpx.Client) -> None:
    for path, status in (
        ("/studies/none", 404),
        ("/studies/made/trials/999", 404),
        ("/nothing", 404),
        ("/studies/..%2f..%2fetc", 404),
    ):
        answer = client.get(path, headers=HTML)
        assert answer.status_code == status, path
        assert len(Elements(answer.text).named("main")) == 1
    assert client.get("/studies/none").json()["error"]
    assert client.get("/api/studies/none", headers=HTML).json()["error"]
    assert client.get("/studies/none", headers={**HTML, "HX-Request": "true"}).json()["error"]


def test_the_table_is_sorted_filtered_and_paged_by_the_server(client: httpx.Client) -> None:
    def numbers(**asked: object) -> list[int]:
        answer = client.get("/studies/made/parts/trials", params=asked, headers={"HX-Request": "true"})
        assert answer.status_code == 200
        return [int(number) for number in re.findall(r'/studies/made/trials/(\d+)">', answer.text)]

    assert numbers() == list(range(50))
    assert numbers(offset=50) == list(range(50, 60))
    assert numbers(sort="trial", descending="true")[:2] == [59, 58]
    frame_rows = client.get("/api/studies/made/trials", params={"filter": "width==32", "limit": 1000}).json()
    assert len(numbers(filter="width==32")) == frame_rows["total"]


def test_a_choice_in_the_table_gets_an_address(client: httpx.Client) -> None:
    answer = client.get("/studies/made/parts/trials?sort=lr&filter=width%3D%3D32", headers={"HX-Request": "true"})
    address = answer.headers["HX-Push-Url"]
    assert address == "/studies/made?sort=lr&filter=width%3D%3D32"
    again = client.get(address, headers=HTML).text
    assert 'aria-sort="ascending"' in again
    refreshed = client.get("/studies/made/parts/trials?sort=lr", headers={"HX-Request": "true", "HX-Trigger": "trials"})
    assert "HX-Push-Url" not in refreshed.headers


def test_a_filter_that_cant_be_read_is_said_above_the_table(client: httpx.Client) -> None:
    answer = client.get("/studies/made?filter=nothing%3E%3E1", headers=HTML)
    assert answer.status_code == 200
    assert 'role="alert"' in answer.text


def test_the_list_sends_only_the_rows_that_changed(client: httpx.Client) -> None:
    whole = client.get("/", headers={"HX-Request": "true"}).text
    seen = dict(re.findall(r'data-name="(\w+)" data-digest="(\w+)"', whole))
    assert set(seen) == {"made", "evil"}

    def ask(**known: str) -> httpx.Response:
        return client.get(
            "/parts/studies", params={"seen": ",".join(f"{name}:{digest}" for name, digest in known.items())}
        )

    assert ask(**seen).status_code == 204
    answer = ask(**{**seen, "evil": "0"})
    assert answer.headers["HX-Reswap"] == "none"
    changed = answer.text
    assert re.findall(r'<tr id="study-(\w+)"', changed) == ["evil"]
    assert "hx-swap-oob" in changed
    assert set(re.findall(r'<tr id="study-(\w+)"', ask(made=seen["made"]).text)) == {"made", "evil"}


def test_static_files_are_kept_for_ever_and_compressed(client: httpx.Client) -> None:
    for name, asset in assets().items():
        answer = client.get(address_of(name))
        assert answer.content == asset.content
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(asset.packed) == asset.content
        plain = client.get(address_of(name), headers={"Accept-Encoding": "identity"})
        assert plain.content == asset.content
        assert "Content-Encoding" not in plain.headers
    assert client.get("/static/0000000000/app.js").status_code == 404


def test_scripts_are_small(client: httpx.Client) -> None:
    def size(path: str) -> int:
        """Return the size of all scripts that a page names, those of Vega included, which it loads later."""
        names = re.findall(r'"/static/\w+/([\w.-]+\.js)"', client.get(path, headers=HTML).text)
        return sum(len(assets()[name].packed) for name in names)

    for path in ("/", "/new", "/studies/made/try", "/studies/made/file", "/trash", "/login"):
        assert 0 < size(path) <= 60_000, path
    for path in ("/studies/made", "/studies/made/trials/3", "/compare?study=made&study=evil"):
        assert 0 < size(path) <= 400_000, path


def test_vendored_files_of_the_pages_are_those_that_were_published() -> None:
    listed = json.loads((STATIC / "vendored.json").read_text())
    assert {one["file"] for one in listed} == {
        path.name for path in (*STATIC.glob("*.min.js"), *STATIC.glob("*.min.css"))
    }
    licenses = (STATIC / "LICENSES.txt").read_text()
    for one in listed:
        assert hashlib.sha256((STATIC / one["file"]).read_bytes()).hexdigest() == one["sha256"], one["file"]
        assert f"{one['package']}-{one['version']}" in licenses


def test_a_study_is_begun_by_the_form_once(root: Path) -> None:
    with services.service(root.parent / "begun") as service, asking(make_app(service, Access(), FREELY)) as client:
        sent = {"text": services.text(), "name": "mine", "key": "one-key"}
        for _ in range(2):
            answer = client.post("/new", data=sent, headers=HTML)
            assert (answer.status_code, answer.headers["Location"]) == (303, "/studies/mine")
        assert service.list().total == 1
        wrong = client.post("/new", data={**sent, "key": "two", "text": services.text() + "trials: -1\n"}, headers=HTML)
        assert wrong.status_code == 422
        assert "Line 8" in Elements(wrong.text).text
        waiting = client.get("/studies/mine", headers=HTML)
        assert waiting.status_code == 200
        services.at_rest(service, "mine")
        deleted = client.post("/studies/mine/delete", headers=HTML)
        assert (deleted.status_code, deleted.headers["Location"]) == (303, "/")
        assert "mine" in client.get("/trash", headers=HTML).text
        assert client.post("/studies/mine/restore", headers=HTML).headers["Location"] == "/studies/mine"
        assert service.get("mine").name == "mine"
        assert client.post("/studies/mine/shout", headers=HTML).status_code == 404
        assert client.post("/studies/mine/extend", data={"trials": "many"}, headers=HTML).status_code == 422


def test_the_front_is_offered_for_confirmation_where_there_are_several_goals(root: Path) -> None:
    with services.service(root.parent / "fronts") as service, asking(make_app(service, Access(), FREELY)) as client:
        for name, more in (("one", ""), ("two", "metrics: [val_accuracy, val_loss]\n")):
            service.submit(services.ADA, services.submission(name, more=more))
            services.at_rest(service, name)
            boxes = [one["name"] for one in Elements(client.get(f"/studies/{name}", headers=HTML).text).named("input")]
            assert ("front" in boxes) is (name == "two")
        asked = client.post("/studies/two/confirm", data={"front": "yes"}, headers=HTML)
        assert asked.status_code == 303
        services.at_rest(service, "two")
        assert '"front": true' in service.log("two")


def test_a_page_without_a_token_leads_to_the_sign_in_and_back(root: Path, tmp_path: Path) -> None:
    token = add_user(tmp_path / "users", "ada", admin=False)
    access = load_access(None, tmp_path / "users")
    with services.service(root.parent / "guarded") as service, asking(make_app(service, access, FREELY)) as client:
        asked = client.get("/new?space=mnist_asha", headers=HTML)
        assert asked.status_code == 303
        form = client.get(asked.headers["Location"], headers=HTML)
        hidden = next(one for one in Elements(form.text).named("input") if one["name"] == "next")["value"]
        assert hidden == "/new?space=mnist_asha"
        wrong = client.post("/login", data={"token": "x", "next": hidden}, headers=HTML)
        assert "nobody" in client.get(wrong.headers["Location"], headers=HTML).text
        signed = client.post("/login", data={"token": token, "next": hidden}, headers=HTML)
        assert signed.headers["Location"] == hidden
        page = client.get(hidden, headers=HTML)
        assert page.status_code == 200
        assert "ada" in Elements(page.text).text
        assert "Log out" in Elements(page.text).text
        client.post("/logout")
        assert client.get("/", headers=HTML).status_code == 303
