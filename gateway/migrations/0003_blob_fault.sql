-- room `archive`: blobs that are not what their rows say. A row here keeps every byte of its blob from being served; it goes when the
-- bytes have come again. altered: what was found lies in `damaged`, beside `blobs`. asked_us: when its site was last asked for it;
-- gone_us: when the site said that it does not have it any more
CREATE TABLE blob_fault (
    blob_key TEXT PRIMARY KEY,
    site_id  TEXT NOT NULL,
    kind     TEXT NOT NULL CHECK (kind IN ('missing', 'altered')),
    found_us BIGINT NOT NULL,
    asked_us BIGINT,
    gone_us  BIGINT
);
CREATE INDEX blob_fault_by_site ON blob_fault (site_id);
