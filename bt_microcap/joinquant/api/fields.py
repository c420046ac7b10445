"""The platform's tables of fundamentals: all their fields, and which of them daily bars give.

The names are those of the public client, jqdatasdk.
"""

from __future__ import annotations

from .query import Table

FIELDS: dict[str, tuple[str, ...]] = {name: tuple(text.split()) for name, text in {
    'valuation':
        'id code day pe_ratio turnover_ratio pb_ratio ps_ratio pcf_ratio capitalization market_cap circulating_cap '
        'circulating_market_cap pe_ratio_lyr pcf_ratio2 dividend_ratio free_cap free_market_cap a_cap a_market_cap',
    'indicator':
        'id code day pubDate statDate eps adjusted_profit operating_profit value_change_profit roe inc_return roa '
        'net_profit_margin gross_profit_margin expense_to_total_revenue operation_profit_to_total_revenue '
        'net_profit_to_total_revenue operating_expense_to_total_revenue ga_expense_to_total_revenue '
        'financing_expense_to_total_revenue operating_profit_to_profit invesment_profit_to_profit adjusted_profit_to_profit '
        'goods_sale_and_service_to_revenue ocf_to_revenue ocf_to_operating_profit inc_total_revenue_year_on_year '
        'inc_total_revenue_annual inc_revenue_year_on_year inc_revenue_annual inc_operation_profit_year_on_year '
        'inc_operation_profit_annual inc_net_profit_year_on_year inc_net_profit_annual '
        'inc_net_profit_to_shareholders_year_on_year inc_net_profit_to_shareholders_annual',
    'balance':
        'id code day pubDate statDate cash_equivalents settlement_provi lend_capital trading_assets bill_receivable '
        'account_receivable advance_payment insurance_receivables reinsurance_receivables '
        'reinsurance_contract_reserves_receivable interest_receivable dividend_receivable other_receivable '
        'bought_sellback_assets inventories non_current_asset_in_one_year other_current_assets total_current_assets '
        'loan_and_advance hold_for_sale_assets hold_to_maturity_investments longterm_receivable_account longterm_equity_invest '
        'investment_property fixed_assets constru_in_process construction_materials fixed_assets_liquidation biological_assets '
        'oil_gas_assets intangible_assets development_expenditure good_will long_deferred_expense deferred_tax_assets '
        'other_non_current_assets total_non_current_assets total_assets shortterm_loan borrowing_from_centralbank '
        'deposit_in_interbank borrowing_capital trading_liability notes_payable accounts_payable advance_peceipts '
        'sold_buyback_secu_proceeds commission_payable salaries_payable taxs_payable interest_payable dividend_payable '
        'other_payable reinsurance_payables insurance_contract_reserves proxy_secu_proceeds '
        'receivings_from_vicariously_sold_securities non_current_liability_in_one_year other_current_liability '
        'total_current_liability longterm_loan bonds_payable longterm_account_payable specific_account_payable '
        'estimate_liability deferred_tax_liability other_non_current_liability total_non_current_liability total_liability '
        'paidin_capital capital_reserve_fund treasury_stock specific_reserves surplus_reserve_fund ordinary_risk_reserve_fund '
        'retained_profit foreign_currency_report_conv_diff equities_parent_company_owners minority_interests '
        'total_owner_equities total_sheet_owner_equities other_comprehensive_income deferred_earning '
        'loan_and_advance_current_assets derivative_financial_asset hold_sale_asset loan_and_advance_noncurrent_assets '
        'derivative_financial_liability hold_sale_liability estimate_liability_current deferred_earning_current '
        'preferred_shares_noncurrent pepertual_liability_noncurrent longterm_salaries_payable other_equity_tools '
        'preferred_shares_equity pepertual_liability_equity receivable_fin usufruct_assets contract_assets bond_invest '
        'other_bond_invest other_equity_tools_invest other_non_current_financial_assets contract_liability lease_liability',
    'income':
        'id code day pubDate statDate total_operating_revenue operating_revenue interest_income premiums_earned '
        'commission_income total_operating_cost operating_cost interest_expense commission_expense refunded_premiums '
        'net_pay_insurance_claims withdraw_insurance_contract_reserve policy_dividend_payout reinsurance_cost '
        'operating_tax_surcharges sale_expense administration_expense financial_expense asset_impairment_loss '
        'fair_value_variable_income investment_income invest_income_associates exchange_income operating_profit '
        'non_operating_revenue non_operating_expense disposal_loss_non_current_liability total_profit income_tax_expense '
        'net_profit np_parent_company_owners minority_profit basic_eps diluted_eps other_composite_income '
        'total_composite_income ci_parent_company_owners ci_minority_owners rd_expenses asset_deal_income '
        'sust_operate_net_profit discon_operate_net_profit credit_impairment_loss net_open_hedge_income interest_cost_fin '
        'interest_income_fin other_earnings other_composite_income_mino_at',
    'cash_flow':
        'id code day pubDate statDate goods_sale_and_service_render_cash net_deposit_increase net_borrowing_from_central_bank '
        'net_borrowing_from_finance_co net_original_insurance_cash net_cash_received_from_reinsurance_business '
        'net_insurer_deposit_investment net_deal_trading_assets interest_and_commission_cashin net_increase_in_placements '
        'net_buyback tax_levy_refund other_cashin_related_operate subtotal_operate_cash_inflow goods_and_services_cash_paid '
        'net_loan_and_advance_increase net_deposit_in_cb_and_ib original_compensation_paid handling_charges_and_commission '
        'policy_dividend_cash_paid staff_behalf_paid tax_payments other_operate_cash_paid subtotal_operate_cash_outflow '
        'net_operate_cash_flow invest_withdrawal_cash invest_proceeds fix_intan_other_asset_dispo_cash net_cash_deal_subcompany '
        'other_cash_from_invest_act subtotal_invest_cash_inflow fix_intan_other_asset_acqui_cash invest_cash_paid '
        'impawned_loan_net_increase net_cash_from_sub_company other_cash_to_invest_act subtotal_invest_cash_outflow '
        'net_invest_cash_flow cash_from_invest cash_from_mino_s_invest_sub cash_from_borrowing cash_from_bonds_issue '
        'other_finance_act_cash subtotal_finance_cash_inflow borrowing_repayment dividend_interest_payment '
        'proceeds_from_sub_to_mino_s other_finance_act_payment subtotal_finance_cash_outflow net_finance_cash_flow '
        'exchange_rate_change_effect cash_equivalent_increase cash_equivalents_at_beginning cash_and_equivalents_at_end',
}.items()}

KEYS = frozenset(('id', 'code', 'day', 'pubDate', 'statDate'))  # what says which row it is, of every table

valuation, indicator, balance, income, cash_flow = (Table(name, fields) for name, fields in FIELDS.items())
