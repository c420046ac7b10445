"""What JoinQuant (聚宽) exports of an account, and a replay of it."""
