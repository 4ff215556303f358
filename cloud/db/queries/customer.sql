-- Statements of accounts and of the product's own pages.

-- Accounts -------------------------------------------------------------------------------------------------------

-- name: lock_contact
SELECT pg_advisory_xact_lock(46631, hashtext(encode(%(lookup)s::bytea, 'hex')));

-- name: accounts_with_contact
-- Living accounts that have this contact; the one whose holder proved it comes first, then the oldest.
SELECT r.account
FROM (
    SELECT account_root(p.user_id) AS account, bool_or(v.user_id IS NOT NULL) AS proved
    FROM personal_contact AS p
    LEFT JOIN verified_contact AS v ON v.lookup = p.lookup AND account_root(v.user_id) = account_root(p.user_id)
    WHERE p.lookup = %(lookup)s
    GROUP BY 1
) AS r
JOIN app_user AS u ON u.user_id = r.account AND u.erased_at IS NULL
ORDER BY r.proved DESC, u.created_at, u.user_id;

-- name: members_with_contact
SELECT count(*) FROM personal_contact
WHERE lookup = %(lookup)s AND user_id IN (SELECT account_members(%(account)s));

-- name: were_separated
-- Whether a merge between these two accounts was undone: then it is not made again by itself.
SELECT EXISTS (
    SELECT FROM account_merge AS m
    WHERE m.undone_at IS NOT NULL AND (
        (m.user_id IN (SELECT account_members(%(one)s)) AND m.into_user IN (SELECT account_members(%(other)s)))
        OR (m.user_id IN (SELECT account_members(%(other)s)) AND m.into_user IN (SELECT account_members(%(one)s)))
    )
);

-- name: put_merge
INSERT INTO account_merge (user_id, into_user, reason, person)
VALUES (%(user_id)s, %(into_user)s, %(reason)s, %(person)s)
RETURNING merge_no;

-- name: undo_merge
UPDATE account_merge SET undone_at = clock_timestamp(), undone_by = %(person)s
WHERE merge_no = %(merge_no)s AND undone_at IS NULL
RETURNING user_id;

-- name: merges
SELECT merge_no, user_id, into_user, reason, person, at, undone_at, undone_by FROM account_merge
WHERE user_id IN (SELECT account_members(%(user_id)s)) OR into_user IN (SELECT account_members(%(user_id)s))
ORDER BY merge_no;

-- name: root
SELECT account_root(u.user_id), r.erased_at IS NOT NULL
FROM app_user AS u JOIN app_user AS r ON r.user_id = account_root(u.user_id)
WHERE u.user_id = %(user_id)s;

-- name: members
SELECT m.user_id FROM account_members(%(user_id)s) AS m (user_id) JOIN app_user AS u USING (user_id)
WHERE u.erased_at IS NULL
ORDER BY m.user_id <> account_root(%(user_id)s), u.created_at, m.user_id;

-- name: put_verified
INSERT INTO verified_contact (lookup, kind, user_id) VALUES (%(lookup)s, %(kind)s, %(user_id)s)
ON CONFLICT (lookup) DO UPDATE SET user_id = excluded.user_id, verified_at = clock_timestamp();

-- name: forget_other_verified
DELETE FROM verified_contact AS v
WHERE v.user_id = %(user_id)s AND NOT EXISTS (
    SELECT FROM personal_contact AS p WHERE p.user_id = v.user_id AND p.lookup = v.lookup
);

-- name: forget_user
WITH verified AS (
    DELETE FROM verified_contact WHERE user_id = %(user_id)s
), handles AS (
    DELETE FROM messaging_address WHERE user_id = %(user_id)s
)
DELETE FROM handover WHERE from_user = %(user_id)s AND used_at IS NULL;
