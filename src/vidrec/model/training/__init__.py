"""Training an encoder on generated pictures. Needs the `train` extra: torch and OpenCV.

configuration   what decides what a training becomes
stream          pictures rendered in processes of their own, a moving window of them in shared memory
augment, loss   what is done to a batch, and what is learned from it
network         the ResNet, its head, and the running average of its weights
schedule        the learning rate
device          CPU or GPU
checkpoint      atomic, in small parts
measure         retrieval among the tuning photographs
loop            all of it together
"""
