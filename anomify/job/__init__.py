"""One leased queue for slow work: a model mixin, and claim, finish, retry and give up."""
