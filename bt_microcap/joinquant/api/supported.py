"""What of the platform cannot be had from daily bars and a store: function -> what to do instead."""

from __future__ import annotations

_MINUTES = 'there are no minute bars or ticks; daily bars know the open and the close'
_SUBACCOUNTS = 'there is one account; leave it out'
_CREDIT = 'margin trading is not simulated'
_NETWORK = 'it asks the platform for data that no store has'
_FILES = 'the files of the platform are not here; read them in the script with open()'
_FUTURES = 'futures and options are not traded here'

REFUSED: dict[str, str] = {
    **dict.fromkeys(('get_ticks', 'get_current_tick', 'subscribe', 'get_call_auction', 'handle_tick', 'run_time_interval'),
                    _MINUTES),
    **dict.fromkeys(('set_subportfolios', 'SubPortfolioConfig', 'transfer_cash'), _SUBACCOUNTS),
    **dict.fromkeys(('margincash_open', 'margincash_close', 'margincash_direct_refund', 'marginsec_open', 'marginsec_close',
                     'marginsec_direct_refund', 'get_margincash_stocks', 'get_marginsec_stocks', 'get_mtss'), _CREDIT),
    **dict.fromkeys(('get_money_flow', 'get_billboard_list', 'get_locked_shares', 'get_concept_stocks', 'get_concepts',
                     'get_concept', 'get_index_weights', 'get_fund_info', 'macro', 'opt', 'jy', 'sup'), _NETWORK),
    **dict.fromkeys(('read_file', 'write_file'), _FILES),
    **dict.fromkeys(('get_dominant_future', 'get_future_contracts', 'set_option_margin'), _FUTURES),
    'get_history_fundamentals': 'it asks for statements by quarter; use get_fundamentals(query(...), date)',
    'create_backtest': 'run the command backtest instead',
    'get_all_factors': 'name the columns of the store, such as factor.roe_ttm',
    'calc_factors': 'use get_factor_values() over columns factor.NAME of the store, or work it out with history()',
    'Factor': 'use get_factor_values() over columns factor.NAME of the store, or work it out with history()',
    'portfolio_optimizer': 'give the weights yourself',
    'set_initial_cash': 'give --cash',
    'get_fund_nav': _NETWORK,
}
# Modules of the platform that cannot be had.
MODULES: dict[str, str] = {
    'kuanke.wizard': 'its functions are made by the page of the platform that writes strategies; take the script as code',
    'jqlib.optimizer': 'give the weights yourself', 'jqlib.alpha101': 'work it out with history()',
    'jqlib.alpha191': 'work it out with history()',
}
