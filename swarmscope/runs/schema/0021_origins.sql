-- What makes runs comparable. NULL: not known. Branch and commit are those of the directory in which
-- the run was started; the hash is of the files that define the users and the shape.
ALTER TABLE testrun
    ADD COLUMN branch text,
    ADD COLUMN commit_hash text,
    ADD COLUMN scenario_hash text,
    ADD COLUMN machine text;
