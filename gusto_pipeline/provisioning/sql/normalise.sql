-- Names, addresses and user names in the one form in which they are compared.

-- Words of lower-case letters and digits without accents.
CREATE OR REPLACE TEMP MACRO plain(text) AS
    trim(regexp_replace(
        regexp_replace(strip_accents(lower(text)), '[''’`´.]', '', 'g'), '[^\p{L}\p{N}]+', ' ', 'g'
    ));

-- The mailbox an e-mail address reaches: no +tag, and the first of the domains that mean the same one.
CREATE OR REPLACE TEMP MACRO mailbox(address) AS
    nullif(regexp_extract(lower(trim(address)), '^([^@+\s]+)(\+[^@\s]*)?@([^@\s]+)$', 1), '') || '@' || coalesce(
        getvariable('same_domain')[regexp_extract(lower(trim(address)), '@([^@\s]+)$', 1)],
        regexp_extract(lower(trim(address)), '@([^@\s]+)$', 1)
    );

-- A user name, or an address up to its @, as letters alone: jane.doe2 is janedoe.
CREATE OR REPLACE TEMP MACRO handle(name) AS
    regexp_replace(plain(split_part(split_part(name, '@', 1), '+', 1)), '[^\p{L}]', '', 'g');
