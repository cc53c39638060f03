"""Pages in a real browser: nothing overflows, nothing is fetched, nothing complains."""

import shutil

import pytest

from tests.written_runs import HOSTILE, write_run
from trainer.report import comparison, versus, write

playwright = pytest.importorskip('playwright.sync_api', reason='no playwright')
CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')
NAMES = [HOSTILE, *(f'a class of a rather long name {i}' for i in range(20))]
SECTIONS = ('verdict', 'curves', 'classes', 'calibration', 'cost', 'config')


@pytest.fixture(scope='module')
def pages(tmp_path_factory):
    """A report and a comparison, as files."""
    place = tmp_path_factory.mktemp('pages')
    runs = [
        write_run(place / f'run{seed}', seed=seed, score=seed / 7, names=NAMES)
        for seed in range(3)
    ]
    other = place / 'comparison.html'
    other.write_text(versus.as_page(comparison.compare([f'{place}/run*'])))
    return {'report': write.write_report(runs[0]), 'comparison': other}


@pytest.fixture(scope='module')
def browser():
    """Headless Chromium."""
    if CHROMIUM is None:
        pytest.skip('no chromium')
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=['--no-sandbox']
        )
        yield browser
        browser.close()


@pytest.mark.parametrize('width', [390, 1440])
@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('name', ['report', 'comparison'])
def test_a_page_fits_and_keeps_to_itself(browser, pages, name, scheme, width):
    size = {'width': width, 'height': 900}
    context = browser.new_context(viewport=size, color_scheme=scheme)
    page, said, asked = context.new_page(), [], []
    page.on('console', lambda message: said.append(message.text))
    page.on('pageerror', lambda error: said.append(str(error)))
    page.on('request', lambda request: asked.append(request.url))
    page.goto(pages[name].as_uri())
    for summary in page.locator('summary').all():
        summary.click()
    assert page.evaluate('document.documentElement.scrollWidth') <= width
    assert said == []
    assert all(url.startswith(('file:', 'data:')) for url in asked)
    if name == 'report':
        for anchor in SECTIONS:
            assert page.locator(f'section#{anchor} h2').is_visible()
    context.close()
