"""The Chinese of tomorrow's orders: the list, what was booked, and the slippage of real fills."""

from __future__ import annotations

from .chinese_notes import Entry

ORDERS: dict[str, Entry] = {
    # the list
    '{date}: {count} orders, worth {value} yuan at their limit prices; before them {cash} yuan of cash and {holdings} holdings':
        '{date}：{count} 笔委托，按委托价共 {value} 元；下单前现金 {cash} 元，持有 {holdings} 只',
    'side': '方向',
    'code': '代码',
    'name': '名称',
    'shares': '数量',
    'reference': '参考价',
    'low limit': '跌停价',
    'high limit': '涨停价',
    'limit price': '委托价',
    'fees': '费用',
    'cash after': '其后现金',
    'why': '理由',
    'rests': '盘中挂单',
    'watch': '暂不下单，盯盘',
    'blocked:': '无法成交：',
    'no orders': '没有委托',
    'trading days until the next rebalance: {days}': '距下次调仓还有 {days} 个交易日',
    'trading days until the next rebalance, if there is no holiday: {days}': '距下次调仓还有 {days} 个交易日（未计节假日）',
    '*: pay it with the money of the sales: give it when these are filled': '*：资金来自卖出，卖出成交后再下单',
    'ordered on the trading day before, and not in the journal: {codes}': '上一交易日的委托没有成交记录：{codes}',
    'what is published of the day itself is not in the data: the suspensions and ST of the day before stand in for it, and no '
    'ex-date is known; {call} tells them':
        '数据里没有当日的公告信息：停牌与 ST 沿用前一日，除权除息未知；可用 {call} 补充',
    '{code} went ex-rights on {date}, and nothing that came of it is booked yet': '{code} 已于 {date} 除权除息，账户尚未记入所得',
    'a limit order of the strategy': '策略的限价单',
    'at the close': '收盘时',
    'at the close, if its condition holds then': '收盘时，条件成立才卖',
    'written: {path}/: {files}': '已写入 {path}/：{files}',
    # the account
    '{path}: begins on {date} with {cash} yuan and {holdings} holdings, for {name}':
        '{path}：{date} 起，现金 {cash} 元，持有 {holdings} 只，策略：{name}',
    '{path}: {count} fills and {events} events booked; {cash} yuan of cash and {holdings} holdings':
        '{path}：已记 {count} 笔成交、{events} 笔其他变动；现金 {cash} 元，持有 {holdings} 只',
    'fees of {count} fills are not in the file: they are those of the account\'s profile':
        '文件里没有 {count} 笔成交的费用：按账户的费率计算',
    'left out: {text}': '未记：{text}',
    '{side} {code}: {filled} shares filled that no list asked for': '{side} {code}：成交 {filled} 股，清单里没有',
    '{side} {code}: {filled} of {ordered} shares filled': '{side} {code}：委托 {ordered} 股，成交 {filled} 股',
    # slippage
    'in parts of 10,000': '万分之',
    'fills': '成交笔数',
    'value at the open': '按开盘价的金额',
    'cost beyond it': '多付的成本',
    'assumed': '回测假设',
    'buys': '买入',
    'sales': '卖出',
    'all': '全部',
    '{count} fills are left out: the open of their day is not known; {call} tells it':
        '{count} 笔成交未计：不知道当日开盘价，可用 {call} 提供',
    'the backtest would have assumed {yuan} yuan with: {call}': '要让回测假设 {yuan} 元，应设：{call}',
    'the fills were no worse than the opens': '成交价不差于开盘价',
}
