-- What tells this store from others under the same master key. A copy that is used beside it must get another one.
INSERT INTO remembered (name, value) VALUES ('store_id', lower(hex(randomblob(16))));
