"""Tomorrow's orders: what to sell and buy at the next open, the account that they are for, and the files that terminals take."""
