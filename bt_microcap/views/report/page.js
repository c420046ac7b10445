(() => {
  'use strict';
  const dark = matchMedia('(prefers-color-scheme: dark)');
  // bokeh bakes its colours into the charts: they follow the page's here
  const paint = (night) => {
    const text = night ? '#a3acb9' : '#5d6673', line = night ? '#303743' : '#dfe3e8';
    for (const doc of Bokeh.documents) {
      for (const model of doc._all_models.values()) {
        if ('major_label_text_color' in model.properties) model.major_label_text_color = text;
        if (model.type === 'Grid' && model.grid_line_color !== null) model.grid_line_color = line;
        // a finger that scrolls the page must not zoom a chart
        if (model.type === 'BoxZoomTool' && matchMedia('(pointer: coarse)').matches) model.active = false;
      }
    }
  };
  const repaint = () => paint(dark.matches);
  dark.addEventListener('change', repaint);
  // bokeh draws in the next frame, and as wide as the screen: what goes to paper are copies, drawn at once, that the paper scales
  addEventListener('beforeprint', () => {
    paint(false);
    for (const view of Bokeh.index.roots) {
      const place = view.el.closest('.chart');
      if (!place) continue; // a view beside the charts: a tooltip
      const copy = view.export('png').canvas;
      copy.className = 'paper';
      place.append(copy);
    }
    document.documentElement.classList.add('printed');
  });
  addEventListener('afterprint', () => {
    document.documentElement.classList.remove('printed');
    for (const copy of document.querySelectorAll('canvas.paper')) copy.remove();
    repaint();
  });
  const count = () => document.querySelectorAll('.chart[data-chart]').length;
  const wait = (left) => {
    const views = typeof Bokeh === 'undefined' ? 0 : Object.keys(Bokeh.index).length || Bokeh.index.roots?.length || 0;
    if (views >= count() || left === 0) { repaint(); document.documentElement.dataset.drawn = 'yes'; } else setTimeout(wait, 50, left - 1);
  };
  addEventListener('load', () => wait(200));
  for (const box of document.querySelectorAll('details[data-stock]')) {
    box.addEventListener('toggle', async () => {
      if (!box.open || box.dataset.drawn) return;
      box.dataset.drawn = 'yes';
      const place = box.querySelector('.place');
      await Bokeh.embed.embed_item(JSON.parse(box.querySelector('script').textContent), place);
      repaint();
    });
  }
})();
