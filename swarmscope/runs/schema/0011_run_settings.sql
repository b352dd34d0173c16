-- What a run was started with, by the UI's form or the command line: users, spawn_rate, run_time (s),
-- host, user_classes, shape, and the options that the form shows, in this order. NULL: nobody noted it.
ALTER TABLE testrun ADD COLUMN settings json;
