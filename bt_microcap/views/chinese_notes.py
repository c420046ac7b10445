"""The Chinese of what is said of orders, of the data, and of a run that did nothing or cannot be made again."""

from __future__ import annotations

import re
from collections.abc import Callable

Entry = str | Callable[..., str]  # a template, or a function where words alone do not do: of `translate`, and of its holes

ORDERS: dict[str, Entry] = {
    # why they were given: `why` in orders.csv
    'rebalance': '调仓',
    'stop loss': '止损',
    'trailing stop': '移动止损',
    'take profit': '止盈',
    'limit opened': '开板',
    'empty month': '空仓月份',
    'market stop': '大盘止损',
    'index trend': '指数趋势',
    'drawdown brake': '回撤控制',
    'volatility target': '目标波动率',
    'parking': '闲置资金',
    'consolidated': '合并换股',
    # why they were refused or cut: `reason` in orders.csv and rejections.csv
    'suspended': '停牌',
    'no volume': '无成交量',
    'limit up': '涨停',
    'limit down': '跌停',
    'bought today': '当日买入（T+1）',
    'below one lot': '不足一手',
    'star market order': '科创板不接受市价单',
    'slipped past the limit': '加滑点后超出涨跌停价',
    'volume limit': '超出成交量限制',
    'not held': '未持有',
    'condition not met': '未满足条件',
    # Backtrader's statuses, where no rule of ours refused
    'accepted': '已受理',
    'canceled': '已撤单',
    'completed': '全部成交',
    'expired': '已过期',
    'margin': '资金不足',
    'partial': '部分成交',
    'rejected': '被拒',
    'submitted': '已提交',
}

NOTHING_TRADED: dict[str, Entry] = {
    'no stock was picked: {overlays} allowed none on any of {count} rebalance days':
        '没有选出任何股票：{count} 个调仓日都因{overlays}而空仓',
    'no stock was picked on any of {count} rebalance days: {why}': '{count} 个调仓日都没有选出股票：{why}',
    'screen and select let none through': 'screen 和 select 没有放行任何股票',
    'no market cap lay between min_cap {low} and max_cap {high} yuan on any of them':
        '没有一天有股票的市值介于 min_cap {low} 元和 max_cap {high} 元之间',
    'on {count} of them a market cap lay in the band, but of a stock that is suspended, ST, in the delisting period or not '
    '{screened}, or that select did not take':
        '其中 {count} 天有市值在区间内的股票，但它们停牌、属于 ST、处于退市整理期，或{screened}，或未被 select 选中',
    'on the boards {boards}': '不在板块 {boards} 内',
    'on the boards {boards}, that {params} kept out': '不在板块 {boards} 内，或被 {params} 排除',
    '{count} picks, but not one order was filled: {why}': '选出 {count} 只次，但没有一笔委托成交：{why}',
    "{count} refused, most often '{reason}'": '{count} 笔被拒，最常见的原因是“{reason}”',
    'none was refused, they were still open at the end or withdrawn': '没有被拒的，委托到期末仍未成交或已撤回',
    'no order was given': '没有下单',
}

INDICES: dict[str, Entry] = {
    'the index {code}, as the source gives it': '指数 {code}，按数据源给出的点位',
    'all A shares, equal weight, renewed daily, new shares after {days} trading days, suspended ones at 0 %':
        '全部 A 股等权，每日调整成分，新股上市 {days} 个交易日后纳入，停牌按 0% 计',
    "the {count} smallest A shares by the day before's market cap, without ST, suspended, delisting and Beijing ones, {weight}, "
    '{renewed}, no costs, new shares after {days} trading days, members suspended later at 0 %':
        '按前一日总市值最小的 {count} 只 A 股，剔除 ST、停牌、退市整理期和北交所股票，{weight}，{renewed}，不计成本，新股上市 '
        '{days} 个交易日后纳入，成分股之后停牌按 0% 计',
    'equal weight': '等权',
    "weighted by the day before's float market cap": '按前一日流通市值加权',
    'renewed daily': '每日调整成分',
    'renewed every {days} trading days': '每 {days} 个交易日调整成分',
}

REPEATING: dict[str, Entry] = {
    'the run cannot be made again: {error}': '无法重新回测：{error}',
    '{kind}.select() takes stocks that its screen() does not let through, such as {code}: it is not known among which to draw':
        '{kind}.select() 选了未通过 screen() 的股票（如 {code}），无从得知应在哪些股票中抽取',
    'the strategy skips the run': '策略跳过了这次回测',
    'the broker is a {kind}, expected AShareBroker: another has no such rules':
        '券商类是 {kind} 而不是 AShareBroker，没有这些规则',
    'the commission is a {kind}, expected AShareCommission: of another it is not known what makes it free':
        '佣金类是 {kind} 而不是 AShareCommission，无从得知怎样设为零',
    'the commission {kind} has a fees() of its own: it is not known what makes it free':
        '佣金类 {kind} 有自己的 fees()，无从得知怎样设为零',
    'found {found}, expected a strategy after its run: cerebro.run()[0]':
        '得到的是 {found}，应为回测结束后的策略：cerebro.run()[0]',
    'Cerebro is a {kind}: a class of its own may do anything': 'Cerebro 是自定义的类 {kind}，不知道它还会做什么',
    'several strategies share one account': '多个策略共用一个账户',
    'it has a live store': '使用了实盘数据源',
    'it has a history of orders or of a fund': '使用了历史委托或基金记录',
    "it has timers of Cerebro's; a strategy's own, self.add_timer(), are made again":
        '使用了 Cerebro 的定时器；只有策略自己的定时器 self.add_timer() 可以重现',
    'the broker is a {kind}, which is no simulation': '券商类 {kind} 不是模拟撮合',
    'the data feed {feed} is live': '数据 {feed} 是实时行情',
    'the data feed {feed} is resampled or replayed': '数据 {feed} 经过重采样或回放',
    'the data feed {feed} is filtered': '数据 {feed} 带有过滤器',
    'the data feed {feed} reads another feed': '数据 {feed} 由另一个数据转来',
    'the data feed {feed} reads something that is read once': '数据 {feed} 的来源只能读取一次',
    'run again, without analyzers and observers of its own, it fails: {error}': '去掉自带的分析器和观察器后重新回测失败：{error}',
    'run again it gives another result: it depends on something beside its data and params, such as random numbers without a '
    'seed':
        '重新回测的结果不同：它还取决于数据和参数以外的东西，例如没有固定种子的随机数',
    'random picks need a MicroCapStrategy: it is not known how a {kind} picks':
        '随机选股需要 MicroCapStrategy，无从得知 {kind} 怎样选股',
    '{kind} buys without asking select() for its picks: there is nothing to draw':
        '{kind} 买入时不经过 select() 选股，没有可以随机的对象',
}

# What a store says of its columns and tables; the name stays, as files and params have it.
COLUMNS = {
    'bse_mapping': '北交所新旧代码（bse_mapping）',
    'constituents': '指数成分（constituents）',
    'delisting_period': '退市整理期（delisting_period）',
    'dividends': '分红送转（dividends）',
    'industries': '行业（industries）',
    'is_st': 'ST 标记（is_st）',
    'last_day': '最后一天（last_day）',
    'listings': '上市日期（listings）',
    'market_cap': '总市值（market_cap）',
    'names': '股票名称（names）',
    'preclose': '前收盘价（preclose）',
    'stk_limit': '涨跌停价（stk_limit）',
    'stock_st': 'ST 名单（stock_st）',
    'suspend_d': '停牌（suspend_d）',
    'trading_days': '交易日（trading_days）',
    'window': '可读区间（window）',
}
DATA: dict[str, Entry] = {
    **COLUMNS,
    **{f'{name}: {{text}}': f'{chinese}：{{text}}' for name, chinese in COLUMNS.items()},
    'stocks: {text}': '股票：{text}',
    'members of {index}': '{index} 的成分股',
    'members of {index}: {text}': '{index} 的成分股：{text}',
    'from_files': '原始文件',
    'columns': '列名对应',
    'columns: {columns}': '列名对应：{columns}',
    'columns: {columns}; not read, as they are no stocks: {codes}': '列名对应：{columns}；未读取，因为不是股票：{codes}',
    '{columns}; not read, as they are no stocks: {codes}': '{columns}；未读取，因为不是股票：{codes}',
    'the demo market': '演示行情（虚构）',
    'the table': '内存中的数据表',
    'feeds of one stock each': '每只股票一个数据',
    # sources
    'as given for each day': '数据源逐日给出',
    'as given': '数据源给出',
    'estimated where the limits of the day tell otherwise, on an ex-date: their middle':
        '除权除息日若与当日涨跌停价不符，取涨跌停价的中值估算',
    'as of today alone: {error}': '只有今天的数据：{error}',
    'by the name of the day': '按当日股票名称判断',
    'by the name of the day; 0 for {count} stocks that have no names by date':
        '按当日股票名称判断；{count} 只股票没有历史名称，按 0 计',
    'by names that never change: not known for the past, that of today on all days':
        '按不变的股票名称判断：历史未知，所有日期都用今天的名称',
    'by stock_st since {day}, else by the name of the day': '{day} 起按 stock_st，之前按当日股票名称判断',
    'estimated in {count} traded rows that have none: last known total shares x close':
        '{count} 行有成交但没有市值，按最近已知总股本 × 收盘价估算',
    'no history: one list without dates counts on every day, also before it was drawn up':
        '没有历史：一份不带日期的名单用于所有日期，包括名单编制之前',
    'none known of {count} stocks: {codes}': '{count} 只股票完全未知：{codes}',
    'not given by the source: 0 on all days': '数据源没有给出，所有日期按 0 计',
    'not given by the source: ex-rights are those of dividends, rights issues are not known':
        '数据源没有给出：除权除息只按分红送转，配股未知',
    'not known before the first known one': '首个已知总股本之前的市值未知',
    'not known of {count} rows of {call}: those days were not asked for': '{call} 中有 {count} 行未知，这些日期没有下载',
    'not known, 0 on all days: no files of get_extras': '未知，所有日期按 0 计：没有 get_extras 的文件',
    'not known, 0 on all days: no files of stock_st or namechange': '未知，所有日期按 0 计：没有 stock_st 或 namechange 的文件',
    'not known, as not read: {error}': '未知，因为没有读到：{error}',
    'not known, no column: no files of {call}': '未知，没有这一列：没有 {call} 的文件',
    'not known, no column: no {call}': '未知，没有这一列：没有 {call}',
    'not known, no column: {error}': '未知，没有这一列：{error}',
    'not known, taken as 0, in {count} rows': '{count} 行未知，按 0 计',
    'not known: guessed from the first row of each stock': '未知：按每只股票的第一行数据推测',
    'not known: no files of daily_basic': '未知：没有 daily_basic 的文件',
    'not known: no files of get_valuation': '未知：没有 get_valuation 的文件',
    'not known: the account may not ask for it; {error}': '未知：账户没有权限；{error}',
    'not known: {what}; no files of {call}': '未知：{what}；没有 {call} 的文件',
    'suspended days, which have no rows': '停牌日（没有行情）',
    'high_limit and low_limit': '涨停价和跌停价',
    'suspended days: total shares x last close': '停牌日：总股本 × 最近收盘价',
    'the day of delisting is not given for Beijing': '没有给出北交所股票的退市日',
    'the source has no history: the list of {day} on that day, 0 on all others':
        '数据源没有历史：{day} 用当天的名单，其余日期按 0 计',
    'those of Beijing are not given by the source': '数据源不含北交所股票',
    'total market cap as given': '数据源给出的总市值',
    'total shares of the day, else of the last known one, x close': '当日（没有则最近已知）总股本 × 收盘价',
    # downloads
    'derived: the last 15 trading days (30 of stocks delisted before 2022) before the delisting of stocks whose last name has 退':
        '推算：最后名称带“退”的股票，退市前最后 15 个交易日（2022 年前退市的为 30 个）',
    'explicit, by ex-date': '逐笔给出，按除权除息日',
    'rights issues by preclose': '配股由前收盘价（preclose）体现',
    'not known as such, by preclose: no files of {call}': '没有逐笔数据，由前收盘价（preclose）体现：没有 {call} 的文件',
    'not known as such, by preclose: {error}': '没有逐笔数据，由前收盘价（preclose）体现：{error}',
    'not known: no files of {call}; on ex-dates nothing happens': '未知：没有 {call} 的文件；除权除息日不作处理',
    'not known, on ex-dates nothing happens: {error}': '未知，除权除息日不作处理：{error}',
    'not known are those by the reports of {found}: no answer': '报告期 {found} 的分红未知：没有应答',
    'not known of {count} of {total} days: {error}': '{total} 天中有 {count} 天未知：{error}',
    'not known of {count} of {total} stocks: {error}': '{total} 只股票中有 {count} 只未知：{error}',
    'not known of {count} of {total} lists, for which the names by date tell ST: {error}':
        '{total} 份名单中有 {count} 份未知，改按当日股票名称判断 ST：{error}',
    'not read ({error}); old codes of Beijing are told by name and number': '没有读到（{error}）；北交所旧代码按名称和数字对应',
    '{found} is not complete at the source yet, and was left out': '{found} 的数据源尚不完整，已略去',
    '{found} is not complete at the source yet ({count} of {total} stocks), and was left out':
        '{found} 的数据源尚不完整（{total} 只股票中的 {count} 只），已略去',
    'the account may read {found} to {call} alone: other days are not known': '账户只能读取 {found} 至 {call}：其余日期未知',
    'not known, no column: no lists of the exchanges': '未知，没有这一列：没有交易所的股票列表',
    'not known, no column: with --codes the lists of the exchanges are not asked for':
        '未知，没有这一列：给出 --codes 时不下载交易所的股票列表',
    'not known are those of the lists that were not read: {codes} ({error})':
        '下列名单没有读到，其中的股票未知：{codes}（{error}）',
    'unfit for ranking by market cap: float shares x close, estimated from the turnover, is no market cap: of the 30 smallest '
    'by the one and by the other 4.7 % are the same':
        '不能用来按市值排序：流通股本（由换手率估算）× 收盘价不是总市值，两者各自最小的 30 只中只有 4.7% 相同',
    'make it anew with --shares akshare, mootdx, baostock or FILE': '请用 --shares akshare、mootdx、baostock 或文件重新制作',
    'total shares of akshare stock_zh_a_gbjg_em x close': 'akshare stock_zh_a_gbjg_em 的总股本 × 收盘价',
    'total shares of mootdx xdxr x close': 'mootdx xdxr 的总股本 × 收盘价',
    'total shares of baostock query_profit_data x close, each from its day of publication on':
        'baostock query_profit_data 的总股本 × 收盘价，各自从公布日起用',
    'bonus shares follow on their ex-dates': '送转股在除权日跟进',
    'other new shares are not known before the next report': '其他新增股本在下一份报告之前未知',
    'total shares of the file {file} x close': '文件 {file} 的总股本 × 收盘价',
    'not known before the first record': '第一条记录之前未知',
    # a run
    'the benchmark {name} is not known from the day before the run to its end: there is no comparison':
        '从回测前一日到结束，基准（{name}）的数据不全，因此不做比较',
    'the data has no preclose: price limits are not applied': '数据没有前收盘价（preclose），不执行涨跌停限制',
    'the data has no preclose: price limits and ex-rights are not applied':
        '数据没有前收盘价（preclose），不执行涨跌停限制，也不处理除权除息',
}


def _findings(translate: Callable[[str], str], *, count: str, kinds: str, file: str) -> str:
    """Return what was found in rows: a list of ``3 high below low (row left out)``, whose parts have commas of their own."""
    parts = re.findall(r'(\d[\d,]*) (.+?) \(([^()]*)\)(?:, |$)', kinds)
    said = '，'.join(f'{translate(what)} {number} 条（{translate(done)}）' for number, what, done in parts)
    return f'{count} 行数据有问题：{said or kinds}；明细见 {file}'


QUARANTINE: dict[str, Entry] = {
    '{count} rows not as they should be: {kinds}; each is in {file}': _findings,
    '{count} row not as they should be: {kinds}; each is in {file}': _findings,
    # what was found
    'fields that lack, or too many': '字段缺少或多余',
    'no day': '没有日期',
    'a day on which no A share was traded': '非 A 股交易日',
    'a weekend, or a day on which hardly any stock has a row': '周末，或几乎没有股票有行情的日期',
    'no code of a stock': '没有股票代码',
    'no volume on a suspended day': '停牌日没有成交量',
    'no price': '没有价格',
    'no price on a suspended day': '停牌日没有价格',
    'no price on a suspended day, and none before': '停牌日没有价格，之前也没有',
    'high below low': '最高价低于最低价',
    'high below open or close': '最高价低于开盘价或收盘价',
    'low above open or close': '最低价高于开盘价或收盘价',
    'no market cap': '没有市值',
    'absurd market cap': '市值离谱',
    'upper limit below the lower one': '涨停价低于跌停价',
    'the same row twice': '重复行',
    'a second row of the day with other content': '同一天有内容不同的第二行',
    '{column} neither 0 nor 1': '{column} 既不是 0 也不是 1',
    '{column} not above 0': '{column} 不大于 0',
    '{column} below 0': '{column} 小于 0',
    '{column} no number': '{column} 不是数字',
    # what was done
    'row left out': '整行舍弃',
    'taken as not known': '按未知处理',
    'taken as 0': '按 0 处理',
    'given the close': '取收盘价',
    'given the last close': '取最近收盘价',
    'high widened': '调高最高价',
    'low widened': '调低最低价',
    'not picked on the next day': '次日不入选',
    'taken as not known, not picked on the next day': '按未知处理，次日不入选',
    'one of them left out': '舍弃其中一行',
    'all of them left out': '全部舍弃',
}

# What a run warns of.
WARNINGS: dict[str, Entry] = {
    'the data has no {code}, the param parking: the money waits as cash': '数据中没有用来存放闲置资金的 {code}：资金以现金持有',
    'the exchange rules here are known until {day}; {on} is run by the last of them':
        '内置的交易所规则截至 {day}；{on} 按最后一版规则回测',
    'the data does not tell the members of {index} from the start: all codes of its board count, {boards}':
        '数据没有 {index} 自始的成分股：该板块的全部代码都算，即 {boards}',
    'commission={rate} is above the legal ceiling of {most}: a rate of 0.03 % is written 0.0003':
        '佣金率 {rate} 高于法定上限 {most}：0.03% 应写作 0.0003',
}

NOTES: dict[str, Entry] = {**WARNINGS, **ORDERS, **NOTHING_TRADED, **INDICES, **REPEATING, **DATA, **QUARANTINE}
