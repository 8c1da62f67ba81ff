p='notebooks/glossary.md'
lines=open(p).read().split('\n')
A='11_from_meaning_to_picture.ipynb'; B='12_four_times_the_size.ipynb'
new={
'autoregressive prior':('a prior that writes the embedding as a sequence of codes, one for each principal axis, and draws code after code.','11',A,'4-·-A-prior-by-codes'),
'binding':('knowing which attribute belongs to which thing.','11',A,'The-embedding-or-the-caption?'),
'bucket':('one of the equal intervals into which the range of a number is cut, to make it a code.','11',A,'4-·-A-prior-by-codes'),
'context':('in a U-Net, the tokens that attention sees besides the grid.','11',A,'5-·-The-decoder'),
'decoder of DALL·E 2':('the diffusion model that draws a picture from an embedding and a caption.','11',A,'5-·-The-decoder'),
'modality gap':('that captions and pictures lie in different parts of the space they share.','11',A,'2-·-One-caption,-many-embeddings'),
'prior of DALL·E 2':('a model that draws, for a caption, the embedding that its picture might have.','11',A,'3-·-A-prior-by-diffusion'),
'principal axes':('the directions in which data vary most, each at right angles to those before it.','11',A,'1-·-What-an-embedding-keeps'),
'query':('in the diffusion prior, the learned last position of the sequence, whose output is the prediction.','11',A,'3-·-A-prior-by-diffusion'),
'whitening':('turning data to their principal axes and dividing by the deviation along each.','11',A,'Whitening'),
'corruption':('spoiling the small picture in training, so that an upsampler expects an imperfect one.','12',B,'A-diffusion-model-that-is-given-a-picture'),
'RePaint':('redrawing a part by putting the known part in at each time, as noisy as it would be then, and repeating the step.','12',B,'2-·-Redrawing-a-part'),
'slerp':('spherical interpolation: along a great circle instead of the chord, so that lengths stay.','12',B,'5-·-From-one-picture-to-another'),
'text diff':('the direction from the embedding of one caption to that of another, in which a picture\'s embedding is turned.','12',B,'6-·-Change-the-words'),
'upsampler':('a diffusion model that is given a small picture and draws a larger one.','12',B,'A-diffusion-model-that-is-given-a-picture'),
}
first=next(i for i,l in enumerate(lines) if l.startswith('- **'))
key=lambda l:l.split('**')[1].lower()
have={key(l) for l in lines if l.startswith('- **')}
for t,(d,n,f,a) in new.items():
    if t.lower() in have: print('exists',t); continue
    line=f'- **{t}**: {d} [{n}]({f}#{a})'
    i=next((i for i in range(first,len(lines)) if lines[i].startswith('- **') and key(lines[i])>t.lower()),None)
    if i is None: i=max(k for k,l in enumerate(lines) if l.startswith('- **'))+1
    lines.insert(i,line)
open(p,'w').write('\n'.join(lines))
