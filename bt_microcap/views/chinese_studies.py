"""The Chinese of the studies."""

from __future__ import annotations

from .chinese_notes import Entry

STUDIES: dict[str, Entry] = {
    # titles
    'Luck of the rebalance day': '调仓日的运气',
    'Walk-forward: chosen on the past alone': '滚动前推：只用过去选参数',
    'Costs and fills': '成本与成交假设',
    'Capacity: more and more money': '资金容量',
    'Luck of the start': '入场时点的运气',
    'Studies': '稳健性研究',
    'The runs': '各次回测',
    'The windows': '各窗口',
    # sentences
    'On the {count} shifts of its rebalance day the same strategy made between {low} and {high} a year, {median} in the middle: '
    '{spread} percentage points are luck of the day':
        '同一策略换到 {count} 个不同的调仓日，年化收益在 {low} 到 {high} 之间，中位数 {median}：'
        '相差的 {spread} 个百分点只是调仓日的运气',
    'Begun on each of {count} days, one after the other, the same strategy made between {low} and {high} a year, {median} in the '
    'middle: {spread} percentage points are luck of the day':
        '同一策略在连续 {count} 天分别开始，年化收益在 {low} 到 {high} 之间，中位数 {median}：'
        '相差的 {spread} 个百分点只是开始那天的运气',
    '; yours, {param} {own}, made {made} and is number {rank} of {count}.':
        '；您的（{param} {own}）为 {made}，在 {count} 个中排第 {rank}。',
    'Begun in each of {count} months it made between {low} and {high} a year to the end, {median} in the middle; the worst month '
    'to begin was {worst}, and {lost} of the starts lost money':
        '从 {count} 个月份分别入场，持有到期末，年化收益在 {low} 到 {high} 之间，中位数 {median}；'
        '最差的入场月份是 {worst}，有 {lost} 次入场亏损',
    '; a year after the start {under} of {counted} were below their money, the worst by {loss}.':
        '；入场一年后，{counted} 次中有 {under} 次低于本金，最差亏 {loss}。',
    'As it is it makes {own} a year; the table shows what becomes of that under other costs.':
        '按现有假设年化收益 {own}；换成其他成本后的结果见表。',
    'as it is it loses {loss} a year': '按现有假设，每年亏损 {loss}',
    'at {even} of slippage in all nothing is left': '滑点（买卖合计）到 {even} 时收益归零',
    'up to {most} of slippage in all something is left': '滑点（买卖合计）到 {most} 时仍有盈利',
    ', and from {even} on the market made more, all A shares at equal weight': '，从 {even} 起跑不赢全 A 等权指数',
    'Each further 0.1 % of slippage took {slope} percentage points of return a year; {left}{market}.':
        '滑点每增加 0.1%，年化收益减少 {slope} 个百分点；{left}{market}。',
    'It lost money with every sum, so that there is no capacity to tell.': '无论多少资金都亏损，谈不上资金容量。',
    'half of that is gone at about {cash} yuan': '资金约 {cash}元时收益减半',
    'more than half of that is left with {cash} yuan': '资金到 {cash}元时仍保留一半以上',
    'At best, with {cash} yuan, it made {best} a year; {half}, and the most yuan a year, {profit}, were made with {most} (at '
    'most {limit} of the volume of the day, impact {impact}).':
        '表现最好时（资金 {cash}元）年化收益 {best}；{half}；每年盈利金额最多的是 {most}元资金，为 {profit}元'
        '（最多成交当日成交量的 {limit}，冲击系数 {impact}）。',
    'Chosen by {by} on the {train} months before, and run on the next {test}':
        '每次按此前 {train} 个月的{by}选参数，再用于其后 {test} 个月',
    'The last {days} trading days are in no window.': '最后 {days} 个交易日不在任何窗口里。',
    'Chosen by {by} on all that went before, {train} months at first, and run on the next {test}':
        '每次按此前全部历史（起初 {train} 个月）的{by}选参数，再用于其后 {test} 个月',
    '{chosen}, again and again, it made {made} a year, where the choices had made {past} on their own past; of the {count} '
    'combinations, each run on the same windows, the best in hindsight, {best}, made {hindsight}, the median {median}, and the '
    'choice beat the median in {better} of {windows} windows.':
        '{chosen}，如此滚动，年化收益 {made}，而这些参数在各自的选参区间里为 {past}；'
        '{count} 组参数在同样的窗口上运行，事后看最好的 {best} 为 {hindsight}，中位数 {median}，'
        '{windows} 个窗口中有 {better} 个好于当期中位数。',
    '{chosen}, again and again, it made {made} a year, where the choices had made {past} on their own past; no combination ran '
    'on every window.':
        '{chosen}，如此滚动，年化收益 {made}，而这些参数在各自的选参区间里为 {past}；'
        '没有一组参数在每个窗口上都运行过。',
    'All {count} shifts gave the same run: its own rhythm knows no shift, so that nothing is told of luck.':
        '{count} 次平移得到同一次回测：策略自己的节奏不理会平移，因此说明不了运气。',
    'No run has filled any order: there is nothing to tell.': '没有一次回测成交过委托，无从谈起。',
    '; a year after the start none of {counted} was below its money.': '；入场一年后，{counted} 次都没有低于本金。',
    # heads of tables, words of pictures
    'phase': '相位',
    'days later': '推迟天数',
    'weekday': '星期几',
    'month_day': '当月第几个交易日',
    'start': '入场月份',
    'rule': '规则',
    'set to': '取值',
    'own': '现有设置',
    'yours': '现有设置',
    'yours: {own}': '现有设置：{own}',
    'cash, yuan': '资金（元）',
    'Sharpe': '夏普比率',
    'days': '天数',
    'part filled': '成交比例',
    'costs of what was traded': '成本占成交额',
    'yuan a year': '每年盈利（元）',
    'after a year': '一年后',
    'chosen on': '选参区间',
    'run on': '运行区间',
    'chosen': '选中的参数',
    'its past, a year': '选参区间年化',
    'made': '实际收益',
    'median of all': '全部中位数',
    'best of all': '全部最好',
    'place': '名次',
    'part of the volume at most': '最多成交占比',
    'the market': '全 A 等权指数',
    'value, start = 1, log scale': '净值（期初为 1，对数坐标）',
    'annual return by {param}; dashed: the median': '年化收益，按{param}；虚线为中位数',
    'annual return by month of the start; dashed: the median': '年化收益，按入场月份；虚线为中位数',
    'annual return by {rule}': '年化收益，按{rule}',
    'half of the best is gone': '收益减半',
    'every combination': '每组参数',
    'best in hindsight: {best}': '事后最好：{best}',
    'chosen on the past': '只用过去选参数',
    'worst to best of all': '全部的最差到最好',
    'the choice': '选中的参数',
    'total return of each window': '各窗口的累计收益',
    # the command
    'written {folder}/: {files}': '已写入 {folder}/：{files}',
    'note: {text}': '提示：{text}',
    'not made: {title}: {why}': '未做：{title}：{why}',
    '{command} shows it in the report of the run': '{command} 会把它放进该回测的报告',
    'not shown, as it is of another run than this folder\'s: {names}': '未显示（不属于本目录的这次回测）：{names}',
}
