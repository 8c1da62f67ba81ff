"""Notebook <-> text: '%% md' and '%% code tag,tag' begin cells."""
import json, sys
def out(nb, txt):
    cells=json.load(open(nb))['cells']; s=''
    for c in cells:
        kind='md' if c['cell_type']=='markdown' else 'code'
        s+=f"%% {kind} {','.join(c['metadata'].get('tags',[]))}".rstrip()+'\n'+''.join(c['source'])+'\n'
    open(txt,'w').write(s)
def into(txt, nb):
    cells=[]
    for part in ('\n'+open(txt).read()).split('\n%% ')[1:]:
        head,_,body=part.partition('\n'); kind,_,tags=head.partition(' ')
        tags=[t for t in tags.split(',') if t]
        c={'cell_type':'markdown' if kind=='md' else 'code','id':f'cell-{len(cells):02d}','metadata':{'tags':tags} if tags else {},'source':body.rstrip('\n').splitlines(keepends=True)}
        if kind=='code': c|={'outputs':[],'execution_count':None}
        cells.append(c)
    json.dump({'cells':cells,'metadata':{'kernelspec':{'display_name':'Python 3','language':'python','name':'python3'},'language_info':{'name':'python'}},'nbformat':4,'nbformat_minor':5},open(nb,'w'),indent=1,ensure_ascii=False)
def py(txt, p):
    """code only, for a quick run"""
    s=''
    for i,part in enumerate(('\n'+open(txt).read()).split('\n%% ')[1:]):
        head,_,body=part.partition('\n')
        if head.startswith('code'): s+=f"_t('{i}')\n"+body+'\n'
    open(p,'w').write("import time as _tm\n_l=[_tm.time(),'']\ndef _t(i):\n    n=_tm.time(); print(f'   [{_l[1]}: {n-_l[0]:.1f}s]') if _l[1] else 0; _l[:]=[n,i]\n"+s+"_t('end')\n")
{'out':out,'in':into,'py':py}[sys.argv[1]](*sys.argv[2:])
