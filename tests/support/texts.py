"""What tests of texts share: words of a text, texts of modules."""

import ast
import re
from pathlib import Path

import bt_microcap
from bt_microcap.views.chinese_notes import COLUMNS
from bt_microcap.views.language import translate

PACKAGE = Path(bt_microcap.__file__).parent
# what stays as it is in Chinese: codes of files, columns, params, calls, classes, and words that every quant writes so
SAME = {
    'AShareBroker', 'AShareCommission', 'CSV', 'Cerebro', 'MicroCapStrategy', 'ST', 'add_timer', 'backtest', 'cerebro', 'fees',
    'run',
    'screen', 'select', 'self', 'min_cap', 'max_cap', 'high_limit', 'low_limit', 'get_extras', 'get_valuation', 'daily_basic',
    'stock_st', 'namechange', 'orders', 'picks', 'positions', 'round_trips', 'csv', *COLUMNS,
    # services, their calls and options, which a reader may look for
    'akshare', 'mootdx', 'baostock', 'stock_zh_a_gbjg_em', 'xdxr', 'query_profit_data', 'query_stock_basic', 'STK_XR_XD',
    'query_dividend_data', 'dividend', 'stock_fhps_em', 'stock_basic', 'codes', 'shares'}


def words(text):
    """Return the English words of a text, without its holes."""
    return set(re.findall(r'[A-Za-z_]{2,}', re.sub(r'\{\w+\}', '', text)))


def chinese(text):
    return translate(text, 'zh')


def holes(text):
    return set(re.findall(r'\{(\w+)\}', text))


def modules(*folders):
    for folder in folders:
        for path in sorted(folder.rglob('*.py')):
            yield path, ast.parse(path.read_text(encoding='utf-8'))


def called(node):
    return getattr(node.func, 'id', getattr(node.func, 'attr', '')) if isinstance(node, ast.Call) else ''
