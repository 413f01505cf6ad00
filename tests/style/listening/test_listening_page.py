"""The page of a listening test, clicked and typed in Chromium, from the first click to the table of results."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from playwright.sync_api import expect

from blackbox_grad import audio_files
from tests.command_line import succeed_here
from tests.style.listening.visits import SCORES


def test_from_the_first_click_to_the_table(visit, pages, tmp_path, capsys):
    for name in ("anna", "ben"):
        page = visit(pages["mushra"])
        page.begin(name)
        page.ready("Practice 1 of 1: these answers are not kept")
        expect(page.page.get_by_role("button", name="Next")).to_be_disabled()
        page.rate(dict.fromkeys(SCORES, 1))
        page.next()
        for trial in (1, 2):
            page.ready(f"Trial {trial} of 2")
            page.rate()
            page.next()
        expect(page.page.get_by_role("heading", name="Thank you")).to_be_visible()
        found = page.answers(tmp_path)
        assert found["path"].name == f"two-effects-a-guitar-{name}.json"
        assert {answer["trial"]: answer["ratings"] for answer in found["answers"]} == {"1": SCORES, "2": SCORES}
        assert {url.partition(":")[0] for url in page.asked} <= {"file", "blob"}
    shown = succeed_here(capsys, "style", "listen", "results", tmp_path)
    assert "2 of 2 listeners, 2 trials" in shown
    means = {line.split()[1]: line.split()[2] for line in shown.splitlines() if line.startswith("all ")}
    assert means["near"] == "80.0"
    assert means["anchor35"] == "30.0"
    assert re.search(r"Reverb +near +80\.0", shown)


def test_by_keyboard_alone(visit, pages, tmp_path):
    page = visit(pages["mushra"])
    keys = page.page.keyboard
    page.page.get_by_label("Choose a name").focus()
    keys.type("cora")
    keys.press("Enter")
    for heading in ("Practice 1 of 1: these answers are not kept", "Trial 1 of 2", "Trial 2 of 2"):
        page.ready(heading)
        wanted = page.hidden()
        keys.press("0")
        for number, system in enumerate(wanted, start=1):
            keys.press(str(number)) if number % 2 else keys.press("ArrowRight")
            expect(page.page.get_by_role("slider", name=f"Rating of sound {number}")).to_be_focused()
            keys.press("Home" if SCORES[system] < 50 else "End")
            for _ in range(SCORES[system] // 10 if SCORES[system] < 50 else (100 - SCORES[system]) // 10):
                keys.press("PageUp" if SCORES[system] < 50 else "PageDown")
            for _ in range(-SCORES[system] % 10 if SCORES[system] >= 50 else 0):
                keys.press("ArrowDown")
        keys.press("Space")
        expect(page.page.get_by_role("button", name="Play")).to_be_visible()
        keys.press("Enter")
    keys.press("Tab")
    with page.page.expect_download() as waiting:
        keys.press("Enter")
    waiting.value.save_as(tmp_path / "answers.json")
    found = json.loads((tmp_path / "answers.json").read_text("utf-8"))["answers"]
    assert [answer["ratings"] for answer in found] == [SCORES, SCORES]


def test_on_a_phone(visit, pages, tmp_path):
    page = visit(pages["mushra"], viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True)
    page.page.get_by_label("Choose a name").fill("dora")
    page.page.get_by_role("button", name="Begin").tap()
    page.ready()
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 360
    page.page.get_by_role("button", name="Reference").tap()
    for row in page.page.locator(".sound").all():
        slider = row.get_by_role("slider")
        box = slider.bounding_box()
        assert box["height"] >= 44
        slider.tap(position={"x": 0.7 * box["width"], "y": box["height"] / 2})
        expect(row.get_by_role("button")).to_have_attribute("aria-pressed", "true")  # a touched slider is heard
    ratings = page.page.evaluate("Object.values(ratings)")
    assert len(ratings) == 6
    assert all(60 <= rating <= 80 for rating in ratings)
    page.page.get_by_role("button", name="Next").tap()
    page.ready("Trial 1 of 2")


def test_an_unfinished_test_goes_on_where_it_was(visit, pages):
    page = visit(pages["mushra"])
    page.begin("emil")
    page.ready()
    page.rate()
    page.next()
    page.ready("Trial 1 of 2")
    order = page.page.evaluate("trials.map((trial) => [trial.id, ...trial.hidden])")
    page.rate()
    page.next()
    page.ready("Trial 2 of 2")
    page.page.locator(".sound").nth(2).get_by_role("slider").fill("37")
    page.page.reload()
    expect(page.page.get_by_label("Choose a name")).to_have_value("emil")
    page.page.get_by_role("button", name="Begin").click()
    page.ready("Trial 2 of 2")
    expect(page.page.locator(".sound output").nth(2)).to_have_text("37")
    assert page.page.evaluate("trials.map((trial) => [trial.id, ...trial.hidden])") == order
    page.page.get_by_role("button", name="Back").click()
    page.ready("Trial 1 of 2")
    assert set(page.page.locator(".sound output").all_inner_texts()) == {str(score) for score in SCORES.values()}
    # another listener begins anew, in another order
    assert page.page.evaluate("new Set([...'abcdefgh'].map((name) => JSON.stringify(ordered(name)))).size") == 8
    page.page.reload()
    page.begin("someone else")
    page.ready("Practice 1 of 1: these answers are not kept")


# what a listener hears: the samples that the page's own player renders
PLAYED = """async () => {
  const rate = test.rate, length = player.buffers[0].length / rate;
  const offline = new OfflineAudioContext(1, Math.round(2.5 * length * rate), rate);
  const played = new Player(offline);
  played.load(player.buffers);
  played.hear(0);
  played.play();
  const at = [0.3, 0.5].map((share) => Math.ceil(share * length * rate / 128) * 128 / rate);
  offline.suspend(at[0]).then(() => { played.hear(1); offline.resume(); });
  offline.suspend(at[1]).then(() => { played.hear(2); offline.resume(); });
  const sound = await offline.startRendering();
  const mono = (buffer) => Array.from(buffer.getChannelData(0));
  return { rate, at, played: Array.from(sound.getChannelData(0)), known: player.buffers.slice(0, 3).map(mono) };
}"""


def test_switching_and_looping_keep_the_place_and_fade(visit, pages):
    page = visit(pages["mushra"])
    page.begin("fritz")
    page.ready()
    found = page.page.evaluate(PLAYED)
    played, known = np.array(found["played"]), np.array(found["known"])
    rate, length = found["rate"], known.shape[1]
    begin, fade = round(0.02 * rate), round(0.005 * rate)
    for sound, start, end in (
        (0, 0.1, found["at"][0]),
        (1, found["at"][0] + 0.02, found["at"][1]),
        (2, found["at"][1] + 0.02, 1.0),
    ):
        part = slice(round(start * rate), round(end * rate))
        place = slice(part.start - begin, part.stop - begin)
        assert np.abs(played[part] - known[sound][place]).max() < 1e-4, sound
    for at in found["at"]:  # one falls silent before the next rises: no cross-fade
        middle = round(at * rate) + fade
        assert np.abs(played[middle - 20 : middle + 20]).max() < 0.02 * np.abs(known).max()
    again = slice(begin + length + 2000, begin + 2 * length - 2000)  # the second time round, sample by sample
    assert np.abs(played[again] - known[2][2000 : length - 2000]).max() < 1e-4
    edge = begin + length
    assert np.abs(played[edge - 3 : edge + 3]).max() < 0.02 * np.abs(known).max()


def test_a_loop_is_set_by_keys_sliders_and_mouse_and_is_never_too_short(visit, pages):
    page = visit(pages["mushra"])
    page.begin("gina")
    page.ready()
    region = lambda: page.page.evaluate("player.region")  # noqa: E731
    slider = page.page.get_by_role("slider", name="Start of the loop")
    slider.fill("400")
    assert region() == pytest.approx([0.48, 1.2], abs=0.01)
    page.page.keyboard.press("\\")
    assert region() == pytest.approx([0.0, 1.2], abs=0.01)
    box = page.page.locator("#wave").bounding_box()
    page.page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 20)
    page.page.mouse.down()
    page.page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 20)
    page.page.mouse.up()
    assert region() == pytest.approx([0.12, 0.72], abs=0.02)
    page.page.get_by_role("slider", name="End of the loop").fill("0")
    from_, to = region()
    assert to - from_ == pytest.approx(0.5, abs=1e-6)
    page.page.keyboard.press("Space")
    expect(page.page.get_by_role("button", name="Pause")).to_be_visible()
    page.page.keyboard.press("]")
    assert region()[0] == pytest.approx(from_)


def test_ab_and_abx(visit, pages, tmp_path, capsys):
    page = visit(pages["ab"])
    page.begin("kai")
    for trial in (1, 2):
        page.ready(f"Trial {trial} of 2")
        for label in ("Reference", "A", "B"):
            page.page.locator("#known").get_by_role("button", name=label, exact=True).click()
        expect(page.page.get_by_role("button", name="Next")).to_be_disabled()
        page.page.locator("#choices").get_by_role("button").nth(page.hidden().index("near")).click()
        page.next()
    found = page.answers(tmp_path)
    assert [answer["choice"] for answer in found["answers"]] == ["near", "near"]
    shown = succeed_here(capsys, "style", "listen", "results", found["path"])
    assert re.search(r"all +near +far +2 +2 +100%", shown)

    page = visit(pages["abx"])
    page.begin("kai")
    for trial in range(1, 5):
        page.ready(f"Trial {trial} of 4")
        for key in "ABX":
            page.page.keyboard.press(key)
        first, second, unknown = page.hidden()
        assert {first, second} == {"reference", "far"}
        page.page.keyboard.press("1" if unknown == first else "2")
        page.page.keyboard.press("Enter")
    found = page.answers(tmp_path)
    assert all(answer["choice"] == answer["x"] for answer in found["answers"])
    shown = succeed_here(capsys, "style", "listen", "results", found["path"])
    assert re.search(r"all +reference +far +4 +4 +100% +51% … 100% +0\.0625", shown)
    # X is either, and neither place is favoured
    drawn = page.page.evaluate("Array.from({ length: 400 }, (_, i) => ordered('n' + i)[0].hidden)")
    for favoured in (sum(x == a for a, _, x in drawn), sum(a == "reference" for a, _, _ in drawn)):
        assert 140 < favoured < 260


def test_the_sounds_of_the_page_are_those_of_the_folder(visit, pages, sounds):
    page = visit(pages["mushra"])
    page.begin("lea")
    page.ready()
    trial = page.page.evaluate("current()")
    heard = page.page.evaluate("player.buffers.map((buffer) => Array.from(buffer.getChannelData(0).subarray(5000, 9000)))")
    for system, samples in zip(["reference", *trial["hidden"]], heard, strict=True):
        if system.startswith("anchor"):
            continue
        audio, _ = audio_files.read(sounds / trial["effect"] / trial["item"] / f"{system}.wav")
        part = audio[0, 5000:9000]
        gain = np.dot(samples, part) / np.dot(part, part)
        assert np.abs(samples - gain * part).max() < 2e-4, system


def test_a_browser_that_keeps_nothing_says_so_and_goes_on(visit, pages, tmp_path):
    page = visit(pages["ab"])
    page.context.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new Error('blocked'); } });")
    page.page.reload()
    page.begin("mona")
    page.ready("Trial 1 of 2")
    expect(page.page.get_by_role("alert")).to_contain_text("does not keep your answers")
    for trial in (1, 2):
        page.ready(f"Trial {trial} of 2")
        for key in "0AB2":
            page.page.keyboard.press(key)
        page.next()
    assert len(page.answers(tmp_path)["answers"]) == 2
