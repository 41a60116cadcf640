"""softclass.cross_entropy as the loss of a Keras model: logits out of the network, probabilities from softclass.

Run it with KERAS_BACKEND=torch or KERAS_BACKEND=jax; TensorFlow's tensors are not taken.
"""

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import softclass


def loss(targets, logits):
    """Give each row's loss; Keras hands class numbers over as floats, and averages."""
    return softclass.cross_entropy(logits, keras.ops.cast(targets[:, 0], "int32"), reduction="none")


keras.utils.set_random_seed(0)
pixels, digits = load_digits(return_X_y=True)
split = train_test_split((pixels / 16).astype(np.float32), digits.astype(np.int32), random_state=0, stratify=digits)
x_train, x_test, y_train, y_test = split

model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64, activation="relu"), keras.layers.Dense(10)])
model.compile(optimizer=keras.optimizers.Adam(3e-3), loss=loss)
model.fit(x_train, y_train[:, None], batch_size=64, epochs=20, verbose=0)

logits = np.asarray(model.predict(x_test, verbose=0))
probabilities = softclass.softmax(logits)
print(f"backend {keras.backend.backend()}")
print(f"log loss {float(softclass.cross_entropy(logits, y_test)):.3f}")
print(f"accuracy {np.mean(probabilities.argmax(axis=1) == y_test):.3f}")
