"""What a page with viewers lives through: many of them, long use, lost graphics, odd windows."""

import numpy as np
import pytest

from hmrlab.viewer import BodyViewer, Mesh, timeline

STARTED = ".hmr[data-pictures]"


def test_many_viewers_share_one_context(light, shown):
    viewers = [BodyViewer(light, height=180) for _ in range(20)]  # browsers keep 16 contexts
    watched = shown(*viewers, started=-1)  # those below the fold wait
    for number in range(20):
        watched.page.locator("[data-hmrlab]").nth(number).scroll_into_view_if_needed()
        watched.page.wait_for_function(
            "(n) => document.querySelectorAll('.hmr')[n]?.dataset.pictures", arg=number
        )
    assert (watched.pixels(0)[..., 3] == 255).mean() > 0.02
    assert (watched.pixels(19)[..., 3] == 255).mean() > 0.02


def test_five_hundred_updates_leave_nothing_behind(light, shown):
    watched = shown(BodyViewer(light, heat="twist"))
    update = """async (count) => {
        const viewer = document.querySelector('.hmr').hmrlab;
        for (let k = 0; k < count; k++) {
            viewer.state.pose[54] = Math.sin(k / 9);
            viewer.state.betas[0] = Math.cos(k / 9);
            viewer.edited('pose');
            viewer.edited('betas');
            viewer.stage.draw();
            if (k % 25 === 0) await new Promise(requestAnimationFrame);
        }
        const { memory } = viewer.stage.renderer.gl.info;
        return [memory.geometries, memory.textures, document.querySelectorAll('*').length];
    }"""
    session = watched.page.context.new_cdp_session(watched.page)

    def heap():
        session.send("HeapProfiler.collectGarbage")
        return session.send("Runtime.getHeapUsage")["usedSize"]

    held = watched.page.evaluate(update, 50)
    before = heap()
    assert watched.page.evaluate(update, 500) == held
    assert heap() - before < 1_000_000


def test_a_lost_context_comes_back(light, shown):
    watched = shown(BodyViewer(light))
    before = watched.pixels()
    gl = "document.querySelector('.hmr').hmrlab.stage.renderer.gl"
    watched.page.evaluate(f"{gl}.forceContextLoss()")
    watched.page.get_by_text("waiting for it to come back").wait_for()
    watched.page.evaluate(f"{gl}.forceContextRestore()")
    watched.page.get_by_text("waiting for it to come back").wait_for(state="hidden")
    watched.drag("β0", 2.0)
    watched.settle()
    after = watched.pixels()
    assert (after[..., 3] == 255).mean() > 0.8 * (before[..., 3] == 255).mean()
    watched.errors[:] = [e for e in watched.errors if "Context Lost" not in e]  # three says so


def test_the_viewer_starts_behind_its_picture(light, shown):
    viewer = BodyViewer(light, start="picture")
    viewer._poster = viewer.picture()
    watched = shown(viewer, started=0)
    door = watched.page.get_by_role("button", name="turn it in 3D")
    assert door.locator("img").evaluate("(image) => image.naturalWidth") > 100
    door.click()
    watched.page.wait_for_selector(STARTED)
    assert watched.page.get_by_role("button", name="turn it in 3D").count() == 0


def test_without_webgl_there_is_a_picture_and_a_reason(light, tmp_path, browser, browser_path):
    other = browser.browser_type.launch(
        executable_path=browser_path, args=["--no-sandbox", "--disable-3d-apis"]
    )
    page = other.new_page()
    page.goto(BodyViewer(light).to_html(tmp_path / "page.html").as_uri())
    page.get_by_role("alert").wait_for()
    assert "WebGL 2 is missing" in page.get_by_role("alert").inner_text()
    assert page.locator(".hmr img").evaluate("(image) => image.naturalWidth") > 100
    other.close()


def test_a_mesh_is_shown_in_its_own_colours(shown):
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    red = np.tile([1.0, 0.1, 0.1], (4, 1))
    watched = shown(BodyViewer(Mesh(corners, faces, red)))
    pixels = watched.pixels().astype(int)
    solid = pixels[pixels[..., 3] == 255]
    assert len(solid) > 1000
    assert (solid[:, 0] > solid[:, 1] + 40).mean() > 0.9
    assert watched.page.get_by_role("combobox").count() == 0  # nothing to pose, no heat


@pytest.mark.parametrize("width", [600, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overlaps(light, shown, width, scheme, answers):
    steps = [answers(2, seed) for seed in range(3)]
    pictures = np.zeros((2, 32, 32, 3), np.uint8)
    watched = shown(
        timeline(light, {"a model with a long name": steps, "another": steps}, truth=answers(2, 9),
                 pictures=pictures, heat="twist", title="a title", editable=True),
        color_scheme=scheme, viewport={"width": width, "height": 900},
    )  # fmt: skip
    overlapping = watched.page.evaluate(
        """() => {
            const all = [...document.querySelectorAll(
                '.hmr button, .hmr select, .hmr input, .hmr label, .hmr output, .hmr summary, '
                + '.hmr-title, .hmr-legend > *, .hmr-names > div, .hmr-photo')]
                .map((element) => [element, element.getBoundingClientRect()])
                .filter(([, box]) => box.width && box.height);
            const found = [];
            for (const [a, p] of all) for (const [b, q] of all) {
                if (a === b || a.contains(b) || b.contains(a)) continue;
                const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
                const tall = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
                if (wide > 1 && tall > 1) found.push([a, b].map((x) => x.outerHTML.slice(0, 80)));
            }
            return found;
        }"""
    )
    assert overlapping == []
    body = watched.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert body[0] <= body[1]  # nothing sticks out at the side


def test_everything_has_a_name_for_those_who_hear_it(light, shown, answers):
    watched = shown(timeline(light, [answers(2, 1), answers(2, 2)], editable=True))
    nameless = watched.page.evaluate(
        """() => [...document.querySelectorAll('.hmr button, .hmr input, .hmr select, .hmr canvas')]
            .filter((one) => !(one.getAttribute('aria-label') || one.labels?.length
                || one.textContent.trim()))
            .map((one) => one.outerHTML.slice(0, 100))"""
    )
    assert nameless == []
    assert "Arrow keys" in watched.page.locator(".hmr canvas").get_attribute("aria-label")
