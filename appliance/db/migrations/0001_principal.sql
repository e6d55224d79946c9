-- Whose transaction this is, from three settings that live as long as the transaction
-- (`identity/store.act_as`). Each function fails closed: what is unset, empty or in disorder is
-- nobody, no clearance, no group. After COMMIT a local setting is '' and not NULL.

CREATE FUNCTION current_subject() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
  RETURN nullif(current_setting('app.subject', true), '');

CREATE FUNCTION app_clearance() RETURNS smallint LANGUAGE sql STABLE PARALLEL SAFE
  RETURN CASE WHEN current_setting('app.clearance', true) ~ '^[0-9]$'
              THEN current_setting('app.clearance', true)::smallint ELSE -1 END;

-- A JSON array of full paths, such as ["/equipes/rh"].
CREATE FUNCTION app_groups() RETURNS text[] LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE s text := current_setting('app.groups', true);
BEGIN
  IF s IS NULL OR s IS NOT JSON ARRAY THEN RETURN '{}'; END IF;
  RETURN ARRAY(SELECT e FROM jsonb_array_elements_text(s::jsonb) e WHERE e <> '');
END $$;
