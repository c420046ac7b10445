"""The Chinese of what a user reads: the words that stand everywhere, and those of the summary on the terminal."""

from __future__ import annotations

from collections.abc import Callable

from .chinese_heatmap import HEATMAP
from .chinese_notes import NOTES, Entry
from .chinese_orders import ORDERS
from .chinese_report import REPORT
from .chinese_studies import STUDIES

# Words and names that stand in the summary, in the report and in the picture alike.
WORDS: dict[str, Entry] = {
    'alpha': '阿尔法',
    'benchmark': '基准',
    'beta': '贝塔',
    'benchmark {name}': '基准：{name}',
    'by hand': '自定义',
    'closed trades': '已平仓交易',
    'commission': '佣金',
    'data': '数据',
    'dividend tax': '红利税',
    'joinquant': '聚宽',
    'largest drawdown': '最大回撤',
    'recorded': '记录值',
    'market': '全 A 等权指数',
    'micro-cap index': '微盘股指数',
    'microcap': '微盘股指数',
    'none': '无',
    'not known': '未知',
    'preset': '预设',
    'profile': '交易规则',
    'realistic': '贴近实盘',
    'return': '收益率',
    'slippage': '滑点',
    'stamp duty': '印花税',
    'strategy': '策略',
    'total return': '累计收益',
    'transfer fee': '过户费',
    'turnover': '换手率',
    'version': '版本',
    'volatility': '波动率',
    'win rate': '胜率',
    'BUY': '买入',
    'SELL': '卖出',
}


def _smallest(translate: Callable[[str], str], *, count: str, low: str = '0', high: str = 'inf', days: str = '1') -> str:
    """Return the title of the original: billions are counted in 亿, a tenth of them."""
    least, most = (f'{float(bound) * 10:.10g}' for bound in (low, high))
    if most == 'inf':
        band = f'市值不低于 {least} 亿元的股票中' if float(low) else '全部股票中市值'
    else:
        band = f'市值 {least}-{most} 亿元的股票中'
    every = '每个交易日' if days == '1' else f'每 {days} 个交易日'
    return f'{band}最小的 {count} 只，{every}调仓'


TITLES: dict[str, Entry] = {
    '{title} (by hand)': '{title}（自定义）',
    '{title} (joinquant)': '{title}（聚宽）',
    '{title} (realistic)': '{title}（贴近实盘）',
    **{f'{{count}} smallest stocks{band}, every {days}': _smallest
       for band in ('', ' of {low} bn yuan or more', ' of {low}-{high} bn yuan') for days in ('day', '{days} days')},
    '{params}, and {count} more': '{params}，另有 {count} 项',
}

# Rules of the broker, as setup() and the options call them, and what they can be.
RULES: dict[str, Entry] = {
    'min_commission': '最低佣金',
    'stamp_duty': '印花税',
    'transfer_fee': '过户费',
    'slippage_ticks': '固定滑点（最小变动价位）',
    'min_slippage_ticks': '滑点下限（最小变动价位）',
    'impact': '冲击成本',
    'volume_limit': '成交量限制',
    'size_with_fees': '按含费用的金额计算股数',
    'star_market_orders': '科创板接受市价单',
    'star_protection': '科创板市价单保护限价',
    'ex_rights': '除权除息',
    'dividend_tax': '红利税',
    'delist': '退市处理',
    'delist_wait': '视为退市的等待交易日',
    'dated': '按当日规定',
    'holding': '按持有期限',
    'last_close': '按最后收盘价',
    'auto': '自动',
    'yes': '是',
    'no': '否',
    'cash': '初始资金',
    'stocknum': '持股数量',
    'refresh_rate': '调仓周期（交易日）',
    'min_cap': '市值下限',
    'max_cap': '市值上限',
}

# Rows of the summary: names, then what is said of them.
SUMMARY: dict[str, Entry] = {
    'random picks': '随机选股',
    'percentile {total_return} of {count} in total return, {sharpe} in Sharpe ratio, {max_drawdown} in drawdown; 50 is chance':
        '在 {count} 次随机选股中的百分位：累计收益 {total_return}，夏普比率 {sharpe}，最大回撤 {max_drawdown}；50 即与随机无异',
    'none: {why}': '无：{why}',
    'warning: {text}': '警告：{text}',
    'only {days} trading days: annual figures and ratios mean nothing': '只有 {days} 个交易日：年化指标和比率没有意义',
    'no new random picks, the run cannot be made again: {why}': '没有新的随机选股，因为无法重新回测：{why}',
    'CAGR': '复合年化收益',
    'Sharpe': '夏普比率',
    'alpha, beta': '阿尔法、贝塔',
    'annual return': '年化收益',
    'cash flows': '出入金',
    'delisted': '退市',
    'max drawdown': '最大回撤',
    'note': '提示',
    'period': '回测区间',
    'rejections': '拒单与退市',
    'total fees': '费用合计',
    'trades': '交易笔数',
    'value': '账户总值',
    'warning': '警告',
    'written': '已写入',
    '{first} .. {last} ({days} trading days)': '{first} 至 {last}（{days} 个交易日）',
    '{start} -> {end} yuan': '{start} → {end} 元',
    '{percent} ({name} {other})': '{percent}（{name} {other}）',
    '{percent} ({days} days a year)': '{percent}（每年按 {days} 个交易日计）',
    '{percent} (by the calendar)': '{percent}（按自然日计）',
    '{percent} a year': '年化 {percent}',
    '{own} (risk-free {percent} a year)': '{own}（无风险利率年化 {percent}）',
    '{percent} a year, {other} (against {name})': '年化 {percent}，{other}（基准：{name}）',
    '{turnover} times a year': '每年 {turnover} 倍',
    '{total} yuan (commission {commission}, tax {tax}, transfer fee {transfer})':
        '{total} 元（佣金 {commission}，税 {tax}，过户费 {transfer}）',
    '{total} yuan (inside the prices)': '{total} 元（已含在成交价中）',
    '{percent} of {count} closed trades': '{percent}（已平仓 {count} 笔）',
    '{total} yuan came in, which is no return': '净转入 {total} 元，不计入收益',
    '{count} holdings became {cash} yuan ({percent} of the value at the start)':
        '{count} 只持仓退市，折算现金 {cash} 元（占期初总值 {percent}）',
    "the median order took {percent} of its stock's volume of the day, all of it at one price: with so much money the real fills "
    'are worse':
        '委托数量的中位数占当日成交量的 {percent}，且全部按同一价格成交；资金量这么大，实盘成交价会更差',
    'report: {path}': '报告：{path}',
    'only one of the command can, from its folder; in a script call report(strategy, path)':
        '只有命令行回测的结果目录可以；脚本里请调用生成报告的函数',
    'an optimizer sends back results without their data; run the combination alone':
        '参数优化只送回结果，不带数据；请单独运行该组合',
}

TEXTS: dict[str, Entry] = {**HEATMAP, **STUDIES, **ORDERS, **REPORT, **NOTES, **SUMMARY, **TITLES, **RULES, **WORDS}
