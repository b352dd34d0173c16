-- A verdict is an event: its sentence as text, its figures beside it.
ALTER TABLE events ADD COLUMN details jsonb;
