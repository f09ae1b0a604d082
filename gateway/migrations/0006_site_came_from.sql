-- room `directory`: from where the agent of a site came last, at most two addresses, the latest last, of IPv6 the first of its range, with
-- blanks between them; so that after a restart strangers do not take the site's places because they come first
ALTER TABLE site ADD COLUMN came_from TEXT NOT NULL DEFAULT '';
