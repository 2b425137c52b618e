"""Google as far as spreadsheets need it: sign-in, Drive's files, and the Sheets API v4."""
