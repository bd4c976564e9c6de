"""Teachers: trained once for each content id, kept as safetensors + JSON, shared by every trial.

    CACHE/teachers/ID.safetensors    weights
    CACHE/teachers/ID.json           digest of the weights, size, the trial's record
    CACHE/parts/ID.safetensors       a method's frozen part on the teacher's side

A lock a file makes two processes that want the same teacher train it once. A file whose weights do
not have the digest that was noted is set aside as `.damaged` and made anew.
"""
