-- What the fleet's map and a device's page want to know: where a region is, and which channels measure a consumable.

CREATE TABLE region ( -- the regions of customer_profile, where somebody has said where they are
    region text PRIMARY KEY CHECK (region <> ''),
    latitude double precision NOT NULL CHECK (latitude BETWEEN -90 AND 90), -- degrees, WGS 84
    longitude double precision NOT NULL CHECK (longitude BETWEEN -180 AND 180)
);

CREATE TABLE consumable ( -- a channel that says how much of a filter, a salt, a rinse aid is left
    model text NOT NULL REFERENCES model,
    channel text NOT NULL,
    name jsonb NOT NULL, -- by language
    when_new double precision NOT NULL, -- the channel's reading when it was just filled or changed
    when_spent double precision NOT NULL, -- and when nothing is left
    PRIMARY KEY (model, channel),
    CHECK (when_new <> when_spent)
);
