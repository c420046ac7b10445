"""The Chinese of tomorrow's orders: the list, what was booked, and the slippage of real fills."""

from __future__ import annotations

from .chinese_notes import Entry

ORDERS: dict[str, Entry] = {
    # the list
    '{date}: orders: {count}; sales {sales} and buys {buys} yuan at their limit prices; cash before {cash} yuan, holdings '
    '{holdings}':
        '{date}：委托 {count} 笔；按委托价卖出 {sales} 元，买入 {buys} 元；此前现金 {cash} 元，持有 {holdings} 只',
    '{date}: orders: {count}; sold for {sales}, bought for {buys} yuan; cash before {cash} yuan, holdings {holdings}':
        '{date}：委托 {count} 笔；卖出 {sales} 元，买入 {buys} 元；此前现金 {cash} 元，持有 {holdings} 只',
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
    'watch': '暂不下单，盯盘',
    'blocked:': '无法成交：',
    'no orders': '没有委托',
    'the data: {text}': '数据：{text}',
    'trading days until the next rebalance: {days}': '距下次调仓还有 {days} 个交易日',
    'trading days until the next rebalance, if there is no holiday: {days}': '距下次调仓还有 {days} 个交易日（未计节假日）',
    '*: pay it with the money of the sales: give it when these are filled': '*：资金来自卖出，卖出成交后再下单',
    'nothing is booked of the list of {date}, orders {count}: {call} books what was filled':
        '{date} 的清单（{count} 笔委托）尚未记入任何成交：用 {call} 记入',
    'the strategy ordered on {date}, and the journal has no fill: {codes}': '策略在 {date} 有委托，没有成交记录：{codes}',
    '{code} goes ex-rights on the day, most likely with new shares, which the list does not have: sell what the broker shows':
        '{code} 当日除权，很可能有送转，清单里没有新股：卖出股数以券商为准',
    'columns of the file that are not known, and not used: {columns}': '文件中不认识、未取用的列：{columns}',
    'of the other stocks the suspensions and ST of the day before stand in for those of the day': '其余股票的停牌与 ST '
                                                                                                  '沿用前一日',
    'lists up to {date} remind no longer': '{date} 及以前的清单不再提醒',
    '{code} goes ex-rights on the day: what comes of it is to be booked': '{code} 当日除权除息，所得需要记入',
    'facts of {count} stocks are taken from the file': '已取用文件中 {count} 只股票的公告信息',
    'not in the data, and left out of the facts: {codes}': '数据里没有、未取用其公告信息：{codes}',
    'what is published of the day itself is not in the data: the suspensions and ST of the day before stand in for it, and no '
    'ex-date is known; {call} tells them':
        '数据里没有当日的公告信息：停牌与 ST 沿用前一日，除权除息未知；可用 {call} 补充',
    '{code} went ex-rights on {date}, and what came of it is not booked yet': '{code} 已于 {date} 除权除息，所得尚未记入',
    'a limit order of the strategy, good for the day': '策略的限价单，当日有效',
    'a limit order of the strategy, outside the limits of the day: the exchange does not take it':
        '策略的限价单，超出当日涨跌停，交易所不接受',
    'give it when the price has reached {price}': '价格到 {price} 时再下单',
    'give it when the order that it belongs to is filled': '所属委托成交后再下单',
    'as much as the cash pays for at the limit prices': '按委托价现金只够这些',
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
    '{path}: {count} fills and {events} events taken back; {cash} yuan of cash and {holdings} holdings':
        '{path}：已撤回 {count} 笔成交、{events} 笔其他变动；现金 {cash} 元，持有 {holdings} 只',
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
    'prices go by steps: no slippage comes nearer to the {yuan} yuan that the fills cost':
        '价格按最小变动单位跳动：没有哪个滑点更接近成交实际多付的 {yuan} 元',
    'the fills were no worse than the opens: {call} is the least': '成交价不差于开盘价：{call} 已是最低',
}
