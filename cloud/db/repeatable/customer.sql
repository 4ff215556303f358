-- The rules of accounts that the database keeps. Re-run at each migrate.
--
-- Errors, see cloud/registry/accounts.py: FC020 not two separate living accounts · FC009 the log is not altered

-- Each user and the account that they belong to: the user at the root of the merges in force.
CREATE OR REPLACE VIEW account_of AS
WITH RECURSIVE up AS (
    SELECT u.user_id, u.user_id AS account FROM app_user AS u
    WHERE NOT EXISTS (SELECT FROM account_merge AS m WHERE m.user_id = u.user_id AND m.undone_at IS NULL)
    UNION ALL
    SELECT m.user_id, up.account FROM account_merge AS m JOIN up ON up.user_id = m.into_user
    WHERE m.undone_at IS NULL
)
SELECT user_id, account FROM up;

-- The account of one user, by walking up: cheap however many users there are.
CREATE OR REPLACE FUNCTION account_root(p_user text) RETURNS text LANGUAGE sql STABLE AS $$
    WITH RECURSIVE up (user_id, step) AS (
        SELECT p_user, 0
        UNION ALL
        SELECT m.into_user, up.step + 1 FROM account_merge AS m JOIN up ON m.user_id = up.user_id
        WHERE m.undone_at IS NULL
    )
    SELECT user_id FROM up ORDER BY step DESC LIMIT 1
$$;

-- All users of the account that this user belongs to.
CREATE OR REPLACE FUNCTION account_members(p_user text) RETURNS SETOF text LANGUAGE sql STABLE AS $$
    WITH RECURSIVE down (user_id) AS (
        SELECT account_root(p_user)
        UNION ALL
        SELECT m.user_id FROM account_merge AS m JOIN down ON m.into_user = down.user_id WHERE m.undone_at IS NULL
    )
    SELECT user_id FROM down
$$;

-- Only two roots are merged, hence a forest: no cycle, whatever the order of merging and undoing. One writer at a time.
CREATE OR REPLACE FUNCTION guard_account_merge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(46630);
    IF TG_OP = 'UPDATE' THEN
        IF OLD.undone_at IS NOT NULL
            OR (NEW.merge_no, NEW.user_id, NEW.into_user, NEW.reason, NEW.person, NEW.at)
                IS DISTINCT FROM (OLD.merge_no, OLD.user_id, OLD.into_user, OLD.reason, OLD.person, OLD.at)
        THEN
            RAISE EXCEPTION 'merge % can be undone once, and not altered', OLD.merge_no USING ERRCODE = 'FC009';
        END IF;
        RETURN NEW;
    END IF;
    IF account_root(NEW.user_id) <> NEW.user_id OR account_root(NEW.into_user) <> NEW.into_user THEN
        RAISE EXCEPTION 'user % or % is part of another account already', NEW.user_id, NEW.into_user
            USING ERRCODE = 'FC020';
    END IF;
    IF EXISTS (SELECT FROM app_user WHERE user_id IN (NEW.user_id, NEW.into_user) AND erased_at IS NOT NULL) THEN
        RAISE EXCEPTION 'an erased user is not merged' USING ERRCODE = 'FC020';
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER guard BEFORE INSERT OR UPDATE ON account_merge
    FOR EACH ROW EXECUTE FUNCTION guard_account_merge();
CREATE OR REPLACE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON account_merge
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_alteration();
