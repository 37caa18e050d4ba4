-- Subjects that are numbers, of accounts that are there and of deleted ones: the next number is above all of them. The
-- conditions are those of `Subject::number`.
CREATE INDEX account_number ON account (CAST(subject AS INTEGER))
    WHERE length(subject) <= 15 AND subject GLOB '[1-9]*' AND subject NOT GLOB '*[^0-9]*';
CREATE INDEX gone_number ON gone (CAST(subject AS INTEGER))
    WHERE length(subject) <= 15 AND subject GLOB '[1-9]*' AND subject NOT GLOB '*[^0-9]*';
