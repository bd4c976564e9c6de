"""Distillation methods: each is a choice of what is tapped, how it is summed up, and how it is compared.

method    taps               attention (what a map becomes)     distance                              adversary
--------  -----------------  ---------------------------------  ------------------------------------  ------------
scratch   –                  –                                  – (labels alone)                      –
kd        logits             softmax at T                       KL                                    –
dkd       logits             softmax at T, label apart          KL of the label, KL of the others     –
dist      logits             softmax at T                       correlation by image and by class     –
l2        logits             –                                  squared                               –
fitnet    middle stage       regressor                          squared, before or beside the labels  –
at        stages             Σ or max over channels of |map|^p  squared or norm, of unit vectors      –
vid       stages             regressor and variance             Gaussian log-likelihood               –
reviewkd  stages, deep mean  fusion from deep to shallow        squared, over a pyramid of sizes      –
sp        last stage         –                                  squared, of inner products            –
rkd       embedding          –                                  Huber, of distances and of angles     –
pkt       embedding          –                                  KL of resemblances                    –
crd       embedding          linear layer, unit length          noise contrast with a memory          –
can       logits             –                                  absolute                              residual MLP
anc       logits             –                                  squared                               MLP
ksan      logits, stages     attention steered by a global      squared, of logits and of squeezed    MLP with a
                             descriptor, then a weighted sum    descriptors                           class head
ksan_kd   the same           the same                           the same, and KL                      the same

`method.py` is the contract, `losses.py` has the equations, and every other method is a file.
"""
