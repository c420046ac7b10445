"""A real browser for the tests of a page: headless Chromium by selenium, with all that the page says and asks for."""

import base64
import io
import json
import os
import shutil
from contextlib import contextmanager

import numpy as np
import pytest
from matplotlib.image import imread

FLAGS = ('--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic', '--no-first-run',
         '--disable-background-networking', '--disable-component-update', '--disable-sync', '--hide-scrollbars',
         '--force-color-profile=srgb')
CHROMIUM = ('chromium', 'chromium-browser', 'google-chrome')
SECONDS = 60  # until a page is drawn: a test does not pass or fail by it, it only ends one that never would

# every canvas in an element, also inside the shadow roots
CANVASES = """
const found = [];
const walk = (node) => {
  for (const child of node.children || []) {
    if (child.tagName === 'CANVAS') found.push(child);
    walk(child);
    if (child.shadowRoot) walk(child.shadowRoot);
  }
};
walk(arguments[0]);
"""
# of all canvases in an element: how many different colours, how many pixels that are no grey, the darkest and the brightest grey
# of the 50 pixels on the left, where the labels are; read from a copy, as Chromium warns of a canvas that is read often
PIXELS = CANVASES + """
const colours = new Set();
let bright = 0, darkest = 255, brightest = 0;
for (const canvas of found) {
  if (!canvas.width || !canvas.height) continue;
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', {willReadFrequently: true});
  copy.drawImage(canvas, 0, 0);
  const pixels = copy.getImageData(0, 0, canvas.width, canvas.height).data;
  for (let at = 0; at < pixels.length; at += 4) {
    const [red, green, blue, alpha] = pixels.subarray(at, at + 4);
    if (alpha < 60) continue;
    colours.add((red << 16) + (green << 8) + blue);
    const grey = Math.max(red, green, blue) - Math.min(red, green, blue) < 60;
    if (!grey) bright++;
    if (grey && alpha > 200 && (at / 4) % canvas.width < 50) {
      darkest = Math.min(darkest, red + green + blue);
      brightest = Math.max(brightest, red + green + blue);
    }
  }
}
return {canvases: found.length, colours: colours.size, bright, darkest: darkest / 3, brightest: brightest / 3};
"""
# for every text that is seen: element, text, and the contrast to what is behind it (WCAG 2.1, contrast ratio)
CONTRASTS = """
const light = (colour) => {
  const [red, green, blue] = colour.map((value) => value / 255).map(
    (value) => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const parsed = (text) => {
  const numbers = text.match(/[\\d.]+/g).map(Number);
  return numbers.length < 4 ? [...numbers, 1] : numbers;
};
const over = (top, under) => [0, 1, 2].map((place) => top[place] * top[3] + under[place] * (1 - top[3]));
const behind = (element) => {
  const layers = [];
  for (let node = element; node; node = node.parentElement) layers.push(parsed(getComputedStyle(node).backgroundColor));
  return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
};
return [...document.body.querySelectorAll('*')].filter(
  (element) => !['SCRIPT', 'STYLE'].includes(element.tagName) && element.checkVisibility()
    && [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim())
).map((element) => {
  const back = behind(element);
  const levels = [light(back), light(over(parsed(getComputedStyle(element).color), back))].sort((one, other) => one - other);
  const ratio = (levels[1] + 0.05) / (levels[0] + 0.05);
  return [element.tagName + '.' + element.className, element.textContent.trim().slice(0, 40), ratio];
});
"""
# what bokeh shows beside the mouse
TOOLTIPS = """
const found = [];
const walk = (node) => {
  for (const child of node.children || []) {
    if (child.classList.contains('bk-Tooltip') && child.shadowRoot) {
      const parts = [...child.shadowRoot.children].filter((part) => part.tagName !== 'STYLE');
      found.push(parts.map((part) => part.textContent).join(' '));
    }
    walk(child);
    if (child.shadowRoot) walk(child.shadowRoot);
  }
};
walk(document);
return found.join(' ');
"""
# name of a chart -> the ends of its x axis
RANGES = """
return Object.fromEntries(Bokeh.documents.flatMap((doc) => [...doc._all_models.values()]).filter(
  (model) => model.type === 'Figure' && model.name).map((model) => [model.name, [model.x_range.start, model.x_range.end]]));
"""


def needed():
    """Skip the test where there is no browser, and say what is missing."""
    pytest.importorskip('selenium', reason='selenium is not installed: pip install -e ".[test]"')
    driver, browser = shutil.which('chromedriver'), next(filter(None, map(shutil.which, CHROMIUM)), None)
    if browser is None or driver is None:
        pytest.skip(f'found no {"chromium" if browser is None else "chromedriver"}: on Debian apt-get install chromium '
                    'chromium-driver')
    return browser, driver


@contextmanager
def chromium():
    """Give a `Browser`; the test is skipped where there is none."""
    browser, driver = needed()
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
    options.binary_location = browser
    # a proxy of the machine is none of the driver's business
    os.environ.setdefault('NO_PROXY', 'localhost,127.0.0.1')
    made = webdriver.Chrome(options=options, service=Service(driver))
    made.set_script_timeout(SECONDS)
    try:
        yield Browser(made)
    finally:
        made.quit()


class Browser:
    """A browser that opens pages from disk.

    Parameters
    ----------
    driver : webdriver.Chrome
    """

    def __init__(self, driver):
        self.driver, self.path = driver, None

    def command(self, name, **arguments):
        """Send a command of the Chrome DevTools protocol."""
        return self.driver.execute_cdp_cmd(name, arguments)

    def run(self, script, *arguments):
        """Return what a script in the page returns."""
        return self.driver.execute_script(script, *arguments)

    def look(self, width=1200, height=900, dark=False, touch=False, media=''):
        """Set what the next page is looked at by.

        Parameters
        ----------
        width, height : int
            Of the window, pixels.
        dark : bool
            Whether the user prefers dark pages.
        touch : bool
            Whether it is a phone: a finger in place of a mouse.
        media : str
            ``print`` for what goes to paper.
        """
        self.command('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1, mobile=touch)
        self.command('Emulation.setTouchEmulationEnabled', enabled=touch, maxTouchPoints=1)
        self.command('Emulation.setEmulatedMedia', media=media, features=[
            {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}])

    def open(self, path, **look):
        """Open a file, and wait until its charts are drawn."""
        from selenium.webdriver.support.ui import WebDriverWait

        self.driver.get('about:blank')
        self.look(**look)
        self.said(), self.asked()  # of the page before
        self.path = path
        self.driver.get(path.as_uri())
        WebDriverWait(self.driver, SECONDS, 0.05).until(
            lambda _: self.run('return document.documentElement.dataset.drawn'), f'{path}: its charts are never drawn')
        self.settle()

    def settle(self):
        """Wait until the page has nothing to draw any more: two frames after what was to be done."""
        self.driver.execute_async_script(
            'const done = arguments[0]; setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(() => done())), 250)')

    def until(self, script, what, *arguments):
        """Wait until a script returns something true."""
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, SECONDS, 0.05).until(lambda _: self.run(script, *arguments), what)

    def said(self):
        """Return what the console says since it was last asked: errors and warnings."""
        return [entry['message'] for entry in self.driver.get_log('browser') if entry['level'] in ('SEVERE', 'WARNING')]

    def asked(self):
        """Return the addresses that the page asked for since that was last asked, without the file itself and data in it."""
        found = []
        for entry in self.driver.get_log('performance'):
            message = json.loads(entry['message'])['message']
            if message['method'] in ('Network.requestWillBeSent', 'Network.webSocketCreated'):
                request = message['params'].get('request', message['params'])
                found.append(request['url'])
        own = (self.path.as_uri() if self.path is not None else '', 'about:blank')
        return [url for url in found if url.split('#')[0] not in own and not url.startswith(('data:', 'blob:'))]

    def elements(self, selector):
        """Return the elements of a selector."""
        return self.run('return [...document.querySelectorAll(arguments[0])]', selector)

    def pixels(self, element):
        """Return what the canvases in an element show: ``canvases``, ``colours``, ``bright``, ``darkest``, ``brightest``."""
        return self.run(PIXELS, element)

    def columns(self, element, *places):
        """Return the middle grey, 0 to 255, of some columns of pixels of an element; a place below 0 counts from the right."""
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        self.settle()
        left, top, right, bottom = self.box(element)
        across, down = self.run('return [scrollX, scrollY]')
        found = []
        for place in places:
            clip = {'x': across + (left if place >= 0 else right) + place, 'y': down + top, 'width': 1, 'height': bottom - top}
            image = base64.b64decode(self.command('Page.captureScreenshot', clip={**clip, 'scale': 1})['data'])
            found.append(float(np.median(imread(io.BytesIO(image))[..., :3].mean(axis=2))) * 255)
        return found

    def box(self, element):
        """Return left, top, right and bottom of an element in the window."""
        return self.run('const box = arguments[0].getBoundingClientRect(); return [box.left, box.top, box.right, box.bottom]',
                        element)

    def middle(self, element):
        """Bring an element into the middle of the window, and return the place of its middle."""
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        self.settle()
        left, top, right, bottom = self.box(element)
        return (left + right) / 2, (top + bottom) / 2

    def inside(self, element, name):
        """Return the first element of a class in another, also inside the shadow roots; None where there is none."""
        return self.run("""const name = arguments[1];
        const walk = (node) => {
          for (const child of node.children || []) {
            if (child.classList.contains(name)) return child;
            const found = walk(child) || (child.shadowRoot && walk(child.shadowRoot));
            if (found) return found;
          }
        };
        return walk(arguments[0]);""", element, name)

    def mouse(self, kind, x, y, **more):
        """Let the mouse do something at a place of the window: mouseMoved, mousePressed, mouseReleased."""
        self.command('Input.dispatchMouseEvent', type=kind, x=x, y=y, **more)

    def drag(self, start, end):
        """Drag the mouse from a place of the window to another."""
        self.mouse('mouseMoved', *start)
        self.mouse('mousePressed', *start, button='left', clickCount=1)
        for step in range(1, 9):
            self.mouse('mouseMoved', *(a + (b - a) * step / 8 for a, b in zip(start, end, strict=True)), button='left', buttons=1)
        self.mouse('mouseReleased', *end, button='left', clickCount=1)
        self.settle()

    def swipe(self, start, end):
        """Draw a finger from a place of the window to another."""
        self.command('Input.dispatchTouchEvent', type='touchStart', touchPoints=[{'x': start[0], 'y': start[1]}])
        for step in range(1, 11):
            x, y = (a + (b - a) * step / 10 for a, b in zip(start, end, strict=True))
            self.command('Input.dispatchTouchEvent', type='touchMove', touchPoints=[{'x': x, 'y': y}])
        self.command('Input.dispatchTouchEvent', type='touchEnd', touchPoints=[])
        self.settle()

    def pdf(self):
        """Return the page as it is printed."""
        return base64.b64decode(self.command('Page.printToPDF', printBackground=True)['data'])
