"""What a broker says was filled: its columns and words recognised, its fees taken or worked out, a row twice refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from ..exchange.commission import FEES, AShareCommission
from ..feeds.errors import DataError
from .account import Account
from .books import BUY, CASH, INTEREST, OF_HOLDINGS, SELL, TAX, EventRow, FillRow
from .text_tables import Row, read_rows

# Ours -> what brokers and terminals call it; the earlier one wins. Seen in exports of 通达信, 同花顺, 东方财富, 迅投 and of some
# ten brokers, as public importers and their samples show them.
COLUMNS: dict[str, str] = {
    'date': 'datetime 成交日期 发生日期 交割日期 交易日期 日期 trade_date',
    'time': '成交时间 委托时间 时间 trade_time',
    'code': '证券代码 股票代码 代码 symbol stock_code sid ts_code instrument',
    'side': '操作 买卖标志 买卖方向 买卖类别 买卖 买卖标记 业务名称 业务类型 交易类别 方向 摘要 action direction bs tradeside',
    # what was filled goes before what may be what was ordered
    'filled': 'filled_quantity 成交数量 成交股数 filled_shares traded_volume 已成交数量',
    'quantity': '发生数量 数量 shares volume qty',
    'filled_price': 'avg_price 成交价格 成交均价 成交价 均价 traded_price',
    'price': '价格',
    'amount': '成交金额 成交额 turnover',
    'commission': '佣金 净佣金', 'all_fees': '手续费 fee fees 费用',
    'tax': '印花税 stamp_duty',
    'transfer_fee': '过户费',
    **{f'other_fees_{number}': words for number, words in enumerate((
        '其他费用 其他费', '其他杂费', '附加费', '规费 交易规费', '经手费', '证管费', '结算费', '清算费 交易所清算费',
        '交易征费'))},
    'net': '发生金额 清算金额 总发生金额 资金发生额 资金发生数 本次金额 收付金额 应收应付金额 变动金额 净额 实际收付 收入金额',
    'fill_id': '成交编号 成交序号 trade_id deal_id',
    'order_id': '委托编号 合同编号 委托号 申报序号 entrust_no',
    'reference_price': '', 'open': '', 'shares_before': '', 'shares_after': '', 'cash': '', 'ratio': '', 'dividend': '',
    'note': '备注 remark', 'status': '状态 委托状态 成交状态 成交类型 结果',
}
# Money that goes out, whatever its sign in the file, and money that comes in: also what is lent, or waits for new shares.
OUT = ('证券转银行', '银行转取', '银证转出', '转出', '融券回购', '质押回购拆出', '新股申购', '中签缴款', '配售缴款')
IN = ('银行转证券', '银行转存', '银证转入', '转入', '融券购回', '拆出质押购回', '新股申购退款')
IGNORED = ('指定交易', '指定登记', '申购配号', '撤单', '托管转入', '托管转出')
WITHDRAWN = ('已撤', '撤单', '废单')  # what stands in a row's note or status; 部撤 was filled in part
SIDES: dict[str, str] = {
    **dict.fromkeys(('buy', 'b', '买入', '证券买入', '买', '担保品买入', '盘后定价买入'), BUY),
    **dict.fromkeys(('sell', 's', '卖出', '证券卖出', '卖', '担保品卖出', '盘后定价卖出'), SELL),
    **{action: action for action in (*OF_HOLDINGS, CASH, INTEREST, TAX)},
    **dict.fromkeys(('红利入账', '红利入帐', '股息入账', '股息入帐', '除权除息', '红利', '股息', '派息', '分红', '红利发放',
                     '现金红利'), 'dividend'),
    **dict.fromkeys(('红股入账', '红股入帐', '红股', '红股上市', '送股', '转增', '送转股', '转增股入账', '新增股份入账'),
                    'bonus'),
    **dict.fromkeys((*IN, *OUT), CASH),
    **dict.fromkeys(('利息归本', '批量利息归本', '季度结息', '结息'), INTEREST),
    **dict.fromkeys(('利息税', '股息红利税补缴', '股息红利差异扣税', '股息个税征收', '红利税补扣', '红利差异税扣税',
                     '股息红利扣税', '股息红利税差异化处理资金下账'), TAX),
}


class Statement(NamedTuple):
    """What a file of fills says."""

    fills: list[FillRow]
    events: list[EventRow]
    skipped: list[str]  # rows that change nothing, such as orders that were withdrawn
    computed: int  # fills whose fees the file does not say
    columns: dict[str, Any]  # which column was taken for what


@dataclass
class Fees:
    """Works out fees that a file does not say: once an order, as the account's profile has them."""

    values: Mapping[str, Any]
    booked: list[FillRow]

    def __post_init__(self) -> None:
        self._comminfo = AShareCommission(**{name: self.values[name] for name in FEES})
        self._orders: dict[tuple, tuple[float, float, float, float]] = {}  # value, commission, shares, transfer fee so far
        for row in self.booked:  # an order may stand in two files
            if row.order_id:
                self._note(row, row.order_id, row.commission, row.transfer_fee)

    def _note(self, row: Any, order: str, commission: float, transfer: float) -> None:
        key = row.datetime, row.code, row.side, order
        value, charged, before, transferred = self._orders.get(key, (0.0, 0.0, 0.0, 0.0))
        self._orders[key] = (value + row.quantity * row.price, charged + commission, before + row.quantity, transferred +
        transfer)

    def of(self, day: date, code: str, side: str, order: str, shares: int, price: float) -> tuple[float, float, float]:
        """Return commission, tax and transfer fee of a fill, yuan."""
        key = day, code, side, order
        value, charged, before, transferred = self._orders.get(key, (0.0, 0.0, 0.0, 0.0))
        size = shares if side == BUY else -shares
        fees = self._comminfo.fees(size, price, day.toordinal(), code, value_before=value, charged=charged, shares_before=before,
                                   transfer_charged=transferred)
        self._orders[key] = (value + shares * price, charged + fees.commission, before + shares, transferred + fees.transfer_fee)
        return fees.commission, fees.stamp_duty, fees.transfer_fee


def together(statements: Sequence[Statement]) -> Statement:
    """Return several statements as one."""
    fills, events, skipped = ([row for each in statements for row in getattr(each, name)] for name in Statement._fields[:3])
    return Statement(fills, events, skipped, sum(each.computed for each in statements), statements[0].columns)


def read_statement(
    path: Path, account: Account, day: date | None = None, rename: Mapping[str, str] | None = None,
    scale: Mapping[str, float] | None = None, fees: Fees | None = None, skip_booked: bool = False,
) -> Statement:
    """Read a file of fills.

    Parameters
    ----------
    path : Path
        CSV, or text with tabs, in UTF-8 or GBK.
    account : Account
        Whose fees hold where the file has none.
    day : date, optional
        Of all rows, for a file without dates.
    rename : mapping of str to str, optional
        Theirs -> ours.
    scale : mapping of str to float, optional
        Ours, or theirs -> what its numbers are multiplied by, such as quantity by 100.
    fees : Fees, optional
        Works out fees that the file does not say: the same for all files that are booked together.
    skip_booked : bool
        Leave out what has the number of something that is booked.

    Raises
    ------
    DataError
        A row that cannot be understood, or does not add up.
    """
    scale = dict(scale or {})
    for name, filled in (('quantity', 'filled'), ('price', 'filled_price')):
        scale.setdefault(filled, scale.get(name, 1.0))
    rows, columns = read_rows(path, COLUMNS, ('side',), rename, scale)
    if 'date' not in columns and day is None:
        raise DataError(f'{path}: found no column of dates, expected date, 成交日期 or 交割日期; give --date YYYY-MM-DD for all '
                        'rows')
    fees = fees or Fees(account.rules['values'], account.fills)
    fills, events, skipped, computed = [], [], [], 0
    booked = {(row.datetime, row.fill_id) for row in account.fills if row.fill_id}
    booked |= {(row.date, row.event_id) for row in account.events if row.event_id}
    for row in rows:
        word = row.text('side')
        undone = next((text for text in (word, row.text('status'), row.text('note'))
                       if any(each in text for each in WITHDRAWN) and not text.startswith('部')), '')
        if undone or word in IGNORED:
            skipped.append(f'{row.source}: {undone or word}')
            continue
        side = SIDES.get(word) or SIDES.get(word.lower())
        note = SIDES.get(row.text('note'))
        size = 'filled' if 'filled' in columns else 'quantity'
        if side in (BUY, SELL) and not row.number(size, 0.0) and note in (TAX, 'dividend', INTEREST, CASH):
            side, word = note, row.text('note')  # 通达信 calls a tax on dividends a purchase of nothing
        if side is None:
            raise DataError(f'{row.where("side")}: found {word!r}, expected one of BUY, SELL, 买入, 卖出, 红利入账, 红股入账, '
                            '银行转证券 and the like; take the row out where it changes neither shares nor cash')
        on = row.day('date') or day
        if on is None:
            raise DataError(f'{row.where("date")}: found nothing, expected a day')
        if day is not None and on != day:
            raise DataError(f'{row.where("date")}: found {on}, but --date says {day}')
        if skip_booked and (on, row.mark('fill_id')) in booked:
            skipped.append(f'{row.source}: number {row.text("fill_id")} is booked already')
            continue
        if side in (BUY, SELL):
            fill, missing = _fill(row, on, side, columns, fees)
            if fill is None:
                skipped.append(f'{row.source}: nothing filled')
            else:
                fills.append(fill)
                computed += missing
        else:
            events.append(_event(row, on, side, word, size))
    return Statement(fills, events, skipped, computed, columns)


def _fill(row: Row, day: date, side: str, columns: Mapping[str, Any], fees: Fees) -> tuple[FillRow | None, bool]:
    size, at = ('filled' if 'filled' in columns else 'quantity'), ('filled_price' if 'filled_price' in columns else 'price')
    code, quantity = row.code(), abs(row.number(size, 0.0))  # a sale's may be negative
    if not quantity:
        return None, False
    if quantity != int(quantity):
        raise DataError(f'{row.where(size)}: found {quantity:g}, expected whole shares')
    shares, price, amount = int(quantity), row.number(at), abs(row.number('amount'))
    if not price > 0:
        raise DataError(f'{row.where(at)}: found {row.text(at) or "nothing"}, expected the yuan a share')
    if amount == amount and abs(shares * price - amount) > max(1.0, 0.005 * amount):
        raise DataError(f'{row.source}: found an amount of {amount:,.2f} yuan, but {shares:,} x {price:g} = '
                        f'{shares * price:,.2f}; quantities are in shares, not in lots')
    order = row.mark('order_id')
    if side == BUY and row.number(size, 0.0) < 0:
        raise DataError(f'{row.where(size)}: found {row.text(size)} of a purchase, expected shares without a minus; take the '
                        'row out where the purchase was withdrawn')
    others = math.fsum(row.number(name, 0.0) for name in columns if name.startswith('other_fees'))
    net_commission, all_fees = row.number('commission', 0.0), row.number('all_fees', 0.0)
    if {'commission', 'all_fees', 'tax', 'transfer_fee'} & set(columns):
        # 手续费 holds the commission and what goes to the exchange already, where both are told
        commission = max(all_fees, net_commission + others) if 'commission' in columns else all_fees + others
        taken, missing = (commission, row.number('tax', 0.0), row.number('transfer_fee', 0.0)), False
    else:
        taken, missing = fees.of(day, code, side, order, shares, price), True
    net = abs(row.number('net'))
    if net == net and net:  # what the account paid or got tells all fees together: the broker's part is what is left of them
        value = amount if amount == amount and amount else shares * price
        total = (net - value) if side == BUY else (value - net)
        told = sum(taken)
        once = told - others  # where 手续费 holds them already
        if not missing and told and min(abs(total - told), abs(total - once)) > 0.05:
            raise DataError(f'{row.source}: found fees of {told:,.2f} yuan, but by what the account paid or got ({net:,.2f}) '
                            f'they are {total:,.2f}; mend the row')
        taken, missing = (total - taken[1] - taken[2], taken[1], taken[2]), False
    if min(taken) < -0.05:  # a rounding of each may leave the rest a hair below
        raise DataError(f'{row.source}: found fees of {sum(taken):,.2f} yuan in all and a part of {min(taken):,.2f}, expected 0 '
                        'or more; what the account paid or got (发生金额) does not fit shares x price')
    return FillRow(day, code, side, shares, price, *taken, row.number('open'), row.number('reference_price'), order,
                   row.time('time'), row.mark('fill_id')), missing


def _event(row: Row, day: date, action: str, word: str, size: str) -> EventRow:
    cash = row.number('cash', math.nan)
    if cash != cash:
        cash = row.number('net', math.nan)
    if cash != cash:
        cash = 0.0 if action == 'bonus' else row.number('amount', 0.0)  # of new shares it is what they are worth
    if action == CASH and word in OUT or action == TAX:
        cash = -abs(cash)
    elif word in IN and cash < 0:
        raise DataError(f'{row.source}: found {word} of {cash:,.2f} yuan, which comes in; expected no minus')
    if action in (CASH, TAX, INTEREST):
        if not cash:
            raise DataError(f'{row.source}: found {word} without an amount, expected the yuan that came in, or went out with a '
                            'minus, in the column cash')
        return EventRow(day, '', action, 0, 0, cash, event_id=row.mark('fill_id'))
    code = row.code()
    before, after = row.number('shares_before'), row.number('shares_after')
    new = row.number(size, 0.0)  # of a dividend the shares that earned it
    if action == 'dividend' and not cash and before != before:
        raise DataError(f'{row.source}: found {word} without an amount, expected the yuan that came in, in the column cash; new '
                        'shares are a row of their own, 红股入账 or bonus')
    return EventRow(day, code, action, int(before) if before == before else -1, int(after) if after == after else int(new),
                    cash, row.number('ratio', math.nan), row.number('dividend', math.nan), row.mark('fill_id'))
