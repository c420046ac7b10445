"""JoinQuant exports, made up: the right fields and wording, own codes and numbers."""

from pathlib import Path

import pytest

EXPORT_FOLDER = Path(__file__).parents[3] / "shared" / "data" / "joinquant_log"
needs_export = pytest.mark.skipif(
    not (EXPORT_FOLDER / "log.txt").exists(), reason="needs the JoinQuant export in ../shared/data/joinquant_log"
)
STAR_REFUSAL = "科创板市价单需要指定保护限价，取值必须大于 0 且小于 1 万元"
NOTICE = "因为您长时间没有使用我们网站, 我们暂停了您的模拟盘"


def order_text(day, code, number, mode, value, action, error=""):
    return (
        f"StockOrder(entrust_id={number} security={code} mode={mode}: _value={value} style=MarketOrderStyle: "
        f"_limit_price=0.0 side=long action={action} margin=False entrust_time={day} 09:30:00 "
        f"cancel_time=None finish_time=None comment= error={error})"
    )


def record_start(day, level="INFO "):
    return f"{day} 09:30:00 - {level} - "


def fill_records(day, order, fills):
    start = f"{record_start(day)}order {order}"
    return [f"{start} trade price: {price}, amount:{n}, commission: {fee}" for price, n, fee in fills]


def buy(day, code, budget, fills, number, cash=None):
    """Four records or more, as the site writes them; `fills` are (price, amount, commission)."""
    asked = sum(amount for _, amount, _ in fills)
    error = f"开仓数量必须是 100 的整数倍，调整为 {asked}"
    if cash:
        error = f"因为资金有限，下单数量调整为 {cash}\n{error}"
    order = order_text(day, code, number, "OrderValue", budget, "open", error)
    return [
        f"{record_start(day)}开仓数量必须是100的整数倍，调整为 {asked}: Order(security={code} mode=OrderValue: "
        f"_value={budget} style=MarketOrderStyle: _limit_price=0.0 side=long margin=False entrust_time=None)",
        f"{record_start(day)}下单检查标的数量：{order}",
        *fill_records(day, order, fills),
        f"{record_start(day)}订单已委托：{order}",
    ]


def sell(day, code, fills, number):
    order = order_text(day, code, number, "OrderTargetValue", 0.0, "close")
    return [
        *fill_records(day, order, fills),
        f"{record_start(day)}订单已委托：{order}",
    ]


def refuse(day, code, budget, number, error):
    order = order_text(day, code, number, "OrderValue", budget, "open", error)
    return [f"{record_start(day, 'ERROR')}订单委托失败：{order}"]


def suspended(day, code, number):
    return [
        f"{record_start(day, 'ERROR')}下单失败，证券({code})今日停牌: StockOrder: _status=new, "
        f"_security=Security(code={code}), _amount=300, _filled_amount=0, _mode=OrderTargetValue: "
        f"_value=0.0, _side=long, _style=MarketOrderStyle: _limit_price=0.0, _action=close, _commission=0, "
        f"_order_id={number}, _comment=, _finish_time=None"
    ]


HEADER = (
    "日期,品种,标的,多空,数量,可用数量,现价,市值/价值,盈亏/逐笔浮盈,"
    "开仓均价,持仓均价（期货）,保证金,当日盈亏,今手数,仓位占比,盈亏占比"
)


def held(day, code, quantity, price, cost, profit, bought=0, value=None):
    value = round(quantity * price) if value is None else value
    total = round(quantity * (price - cost))
    return (
        f"{day},股票,虚构股份({code}),多,{quantity}股,{quantity - bought}股,{price:g},{value},{total}(0.1%),"
        f"{cost:g},-,0,{profit},{bought}股,33.3%,0.1%"
    )


def save(folder, lines, name="log.txt", encoding="gb18030", ends="\r\n"):
    path = folder / name
    path.write_bytes((ends.join(lines) + ends).encode(encoding))
    return path


def assert_one_line(error, *parts):
    text = str(error.value)
    assert "\n" not in text
    for part in parts:
        assert part in text
    assert isinstance(error.value, ValueError)
