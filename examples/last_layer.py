"""An ordinary PyTorch training loop whose last layer and loss are softclass.LastLayer."""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from softclass import LastLayer, softmax

torch.manual_seed(0)
pixels, digits = load_digits(return_X_y=True)
split = train_test_split(pixels / 16, digits, random_state=0, stratify=digits)
x_train, x_test = (torch.tensor(part, dtype=torch.float32) for part in split[:2])
y_train, y_test = (torch.tensor(part) for part in split[2:])

body = nn.Sequential(nn.Linear(64, 64), nn.ReLU())
head = LastLayer(64, 10)
optimizer = torch.optim.Adam([*body.parameters(), *head.parameters()], lr=3e-3)

for _ in range(20):
    for rows in torch.randperm(len(x_train)).split(64):
        optimizer.zero_grad()
        head(body(x_train[rows]), y_train[rows]).backward()  # with targets: the loss, no logits stored
        optimizer.step()

with torch.inference_mode():
    features = body(x_test)
    print(f"log loss {head(features, y_test).item():.3f}")
    probabilities = softmax(head(features))  # without: the logits
    print(f"accuracy {(probabilities.argmax(-1) == y_test).float().mean().item():.3f}")
