"""The Chinese of the heatmaps of a grid, and of what is said of them."""

from __future__ import annotations

from .chinese_notes import Entry

# figures of results.csv that neither the summary nor the report names
FIGURES: dict[str, Entry] = {
    'closed trades, number': '已平仓交易笔数',
    'delisted holdings': '退市只数',
    'delisted, yuan': '退市折算现金（元）',
    'end value, yuan': '期末总值（元）',
    'expectancy, yuan a trade': '平均每笔盈亏（元）',
    'fees, yuan': '费用合计（元）',
    'commission, yuan': '佣金（元）',
    'filled share': '委托成交比例',
    'holdings at the end, yuan': '期末持仓市值（元）',
    'cost of selling them, yuan': '卖出持仓的成本（元）',
    'longest drawdown, days': '最长回撤期（自然日）',
    'median share of the volume': '占当日成交量比例（中位数）',
    '95 % of the orders below, share of the volume': '占当日成交量比例（95% 分位）',
    'largest share of the volume': '占当日成交量比例（最大）',
    'rejections, number': '拒单与退市次数',
    'slippage, yuan': '滑点（元）',
    'start value, yuan': '期初总值（元）',
    'tax, yuan': '税（元）',
    'traded value, yuan': '成交额（元）',
    'trading days': '交易日数',
    'transfer fee, yuan': '过户费（元）',
}

HEATMAP: dict[str, Entry] = {
    **FIGURES,
    'fixed at {params}': '固定 {params}',
    'mean over {params}': '对 {params} 取平均',
    'no run has this figure': '没有任何一次回测有此指标',
    'best {own}, no neighbours': '最优 {own}，没有相邻格',
    'best {own}, mean of its {count} neighbours {other}': '最优 {own}，相邻 {count} 格平均 {other}',
    'best {own}, its one neighbour {other}': '最优 {own}，唯一的相邻格 {other}',
    'best plateau, mean of {count} cells {own} (around the best {other})':
        '最佳平台，共 {count} 格平均 {own}（最优格周围 {other}）',
    'best plateau, mean of {count} cells {own}': '最佳平台，共 {count} 格平均 {own}',
    # printed
    'best: {own} at {params}': '最优：{own}（{params}）',
    'mean of its {count} neighbours {other}': '相邻 {count} 格平均 {other}',
    'its one neighbour {other}': '唯一的相邻格 {other}',
    'no neighbours': '没有相邻格',
    'best plateau: around {params}, mean of {count} cells {own}': '最佳平台：在 {params} 周围，共 {count} 格平均 {own}',
    'best plateau: around the best, mean of {count} cells {own}': '最佳平台：就在最优格周围，共 {count} 格平均 {own}',
    'around the best {other}': '最优格周围 {other}',
    'no cell has a neighbour': '没有任何一格有相邻格',
    'note: {count} of {total} cells are the mean of fewer than {high} runs':
        '提示：{total} 格中有 {count} 格由不足 {high} 次回测平均得出',
    'note: {count} of {total} cells are blank': '提示：{total} 格中有 {count} 格空白',
    'note: the sweep was interrupted or is still at work; {count} runs are in {file}':
        '提示：参数扫描被中断或仍在进行；{file} 中有 {count} 次回测',
    'written {path}': '已写入 {path}',
}
