-- HMAC-SHA-256 of what the caller's session hands to the hop's. The hop's login alone is worth nothing: a caller who
-- lays hands on its connection can still not say who asks.
CREATE OR REPLACE FUNCTION pgheal.proof_of(message text) RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT encode(sha256(convert_to(i.secret || encode(sha256(convert_to(i.secret || message, 'UTF8')), 'hex'), 'UTF8')), 'hex')
    FROM pgheal.installation AS i;
END;
