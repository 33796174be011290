"""Makes the two pictures that the README opens with: ``python -m benchmarks.report_pictures docs/pictures``.

``slimpajama run sample`` is run as a person would run it; its results as a terminal shows them become ``terminal.png``,
the beginning and the evidence of its report ``report.png``. Needs Chromium and the dev extra. Takes as long as the run
and some seconds.
"""

from __future__ import annotations

import html
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

MOST_BYTES = 300_000
COMMAND = "slimpajama run sample --output out"

TERMINAL = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; padding: 18px 22px; background: #16191d; color: #d8dee6; width: max-content;
  font: 13px/1.45 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }}
pre {{ margin: 0; font: inherit; }} b {{ color: #7cc4ff; font-weight: 600; }}
</style><pre><b>$ {command}</b>
{text}</pre>"""


def main(folder: Path) -> None:
    """Run, look, and leave the pictures in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        words = [sys.executable, "-m", "slimpajama", *COMMAND.split()[1:]]
        done = subprocess.run(words, cwd=scratch, check=True, stdout=subprocess.PIPE, text=True)
        shown = Path(scratch, "terminal.html")
        shown.write_text(TERMINAL.format(command=COMMAND, text=html.escape(_shortened(done.stdout))), "utf-8")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 660})
        page.goto(Path(scratch, "out", "report", "index.html").as_uri())
        page.screenshot(path=str(Path(scratch, "top.png")))
        page.set_viewport_size({"width": 1280, "height": 1000})
        page.locator(".pairs li:not(.out) a").nth(5).click()
        page.evaluate("document.getElementById('evidence').scrollIntoView({behavior: 'instant'})")
        page.screenshot(path=str(Path(scratch, "evidence.png")))
        page.set_viewport_size({"width": 400, "height": 200})
        page.goto(shown.as_uri())
        wide, high = page.evaluate("[document.body.offsetWidth, document.body.offsetHeight]")
        page.set_viewport_size({"width": wide, "height": high})
        page.screenshot(path=str(Path(scratch, "terminal.png")))
        _stacked([Path(scratch, "top.png"), Path(scratch, "evidence.png")], folder / "report.png")
        _stacked([Path(scratch, "terminal.png")], folder / "terminal.png")
        browser.close()
    size = sum((folder / name).stat().st_size for name in ("report.png", "terminal.png"))
    if size > MOST_BYTES:
        raise SystemExit(f"the pictures have {size:,} bytes, but {MOST_BYTES:,} are enough for a README")


def _shortened(text: str) -> str:
    """What a run prints without its first five mixtures."""
    return f"{text[: text.index('dc-1: ')].rstrip()}\n\n…\n\n{text[text.index('dc-6: ') :]}"


def _stacked(pictures: list[Path], target: Path) -> None:
    """Pictures of one width above each other, in 128 colours, which flat pages do not miss."""
    images = [Image.open(path).convert("RGB") for path in pictures]
    whole = Image.new("RGB", (images[0].width, sum(image.height for image in images)))
    top = 0
    for image in images:
        whole.paste(image, (0, top))
        top += image.height
    whole.quantize(128).save(target, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
